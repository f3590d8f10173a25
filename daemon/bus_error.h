// What happens on SIGBUS: a page of a mapped file is not there, because another program cut the file or the disk cannot
// be read. The operation that touched it cannot go on, and no other may be answered from this file: the process says
// which file and where, and ends. It never jumps out of the handler: the locks that the thread held would stay locked.
// The next start finds the file too short, and rebuilds the collection from RocksDB.
#pragma once

namespace vs::daemon {

// For the whole process. The line has the form of all others: `journal` as in logs_to_journal(). A bus error that is of
// no mapped file is logged, too, and then ends the process as it would have without the handler, with a core dump.
void install_bus_error_handler(bool journal);

}  // namespace vs::daemon
