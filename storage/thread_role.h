// Who waits for whom on a busy machine: what each thread tells the kernel, so that a search does not wait until an import
// has used up its turn. All of it is advice: where the kernel takes none, everything works the same, only later.
#pragma once

#include <cstdint>

namespace vs::storage {

enum class ThreadRole : uint8_t {
  kServes,  // clients wait for each of its short pieces of work: its turns are short, and soon (Linux 6.12 and later)
  kLinks,   // new points into graphs: where threads compete, it has a third of the time that another one has
};

// Of the calling thread. `name`: at most 15 characters, for top and perf.
void take_role(const char* name, ThreadRole role);

}  // namespace vs::storage
