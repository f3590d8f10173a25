#!/usr/bin/env python3
"""Breaks the storage code in one place at a time, and shows that a test notices.

Each mutant is a small replacement in one file. It is built in a copy of the sources, and its test must fail; the test of
the unchanged sources must pass. Ends with 1 when a mutant survives.

    tests/crash/mutants.py [--build FOLDER] [NAME...]     FOLDER is kept, so that a second run compiles little
    tests/crash/mutants.py --texts                        only looks whether each of them still finds its place
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent

POWER_LOSS = "tests/crash/power_loss --seed 3 --runs 3 --steps 10 --images 3"
NESTED = "tests/crash/power_loss --seed 1 --runs 2 --steps 10 --images 3 --nested 0.5"
DISK_FAILURES = "tests/crash/disk_failures --seed 1 --calls 6"


def unit(name, tests):
    return f"tests/unit/{name} --gtest_filter={tests}"


REBUILD = unit("rebuild_test", "*Concurrent*") + " --gtest_repeat=5 --gtest_break_on_failure"

# name, file, what stands there, what the mutant has instead, the test that must fail
MUTANTS = [
    ("the log is not synced", "storage/commit_queue.cc",
     "const bool sync = options_.durability == Durability::kAlways;", "const bool sync = false;", POWER_LOSS),
    ("operations are applied before they are durable", "storage/commit_queue.cc",
     "  const Status status = group.operations.empty() ? failure() : write(group.batch, sync, LogSpace::Use::kOrdinary);\n",
     "  if (!group.operations.empty()) stage(group);\n"
     "  const Status status = group.operations.empty() ? failure() : write(group.batch, sync, LogSpace::Use::kOrdinary);\n"
     "  group.operations.clear();\n", POWER_LOSS),
    ("acknowledged before it is applied", "storage/commit_queue.cc",
     "    serving->apply(operation.slot, operation.previous);\n"
     "    if (next) next->apply(operation.next_slot, operation.previous);\n"
     "    operation.collection->add_replay_cost(std::chrono::steady_clock::now() - begin + kReadCost);\n"
     "    operation.collection->window().applied(operation.lsn);\n"
     "    if (operation.completion->pending.fetch_sub(1) == 1) operation.completion->finish(Status{});\n",
     "    if (operation.completion->pending.fetch_sub(1) == 1) operation.completion->finish(Status{});\n"
     "    std::this_thread::sleep_for(std::chrono::microseconds(200));\n"
     "    serving->apply(operation.slot, operation.previous);\n"
     "    if (next) next->apply(operation.next_slot, operation.previous);\n"
     "    operation.collection->add_replay_cost(std::chrono::steady_clock::now() - begin + kReadCost);\n"
     "    operation.collection->window().applied(operation.lsn);\n", unit("storage_test", "*ConcurrentWriters*")),
    ("an answer rests on what is not durable yet", "storage/commit_queue.cc",
     "  reply.deleted = found.size();\n  if (found.empty()) {\n",
     "  reply.deleted = found.size();\n  if (found.empty()) return remove.done(std::move(reply));\n"
     "  if (found.empty()) {\n", POWER_LOSS),
    ("the checkpoint is written before the files are synced", "storage/checkpoint.cc",
     "if (Status synced = generation.sync(); !synced.ok()) {", "if (Status synced; !synced.ok()) {", POWER_LOSS),
    ("the checkpoint's mark is taken after the files are synced", "storage/checkpoint.cc",
     "  info.checkpoint_lsn = lsn;\n  info.slots = done.mark.slots;\n",
     "  info.checkpoint_lsn = collection.window().mark().lsn;\n  info.slots = collection.window().mark().slots;\n",
     POWER_LOSS),
    ("a failed sync is ignored", "storage/checkpoint.cc",
     "if (Status synced = generation.sync(); !synced.ok()) {",
     "if (Status synced = generation.sync(); false) {", DISK_FAILURES),
    ("the checkpoint trims what it does not cover", "storage/checkpoint.cc",
     "collection.window().superseded_until(lsn)", "collection.window().superseded_until(collection.last_lsn())",
     unit("storage_test", "*TrimsOnly*")),
    ("a step of a checkpoint counts slots that come later", "storage/checkpoint.cc",
     ".mark = {lsn, generation.first_after(lsn).value}", ".mark = {lsn, generation.first_after(lsn).value + 2}", POWER_LOSS),
    ("a file's new size is not synced", "storage/mapped_file.cc",
     "  VS_RETURN_IF_ERROR(file_->sync());  // the size, which msync does not write\n", "", POWER_LOSS),
    ("the directories of a new collection are not synced", "storage/generation.cc",
     "    VS_RETURN_IF_ERROR(file_system.sync_directory(directory));\n", "", POWER_LOSS),
    ("the name of RocksDB's directory is not synced", "storage/database_open.cc",
     "  VS_RETURN_IF_ERROR(file_system_.sync_directory(options_.directory));\n", "", POWER_LOSS),
    ("links are not scrubbed", "storage/recovery.cc",
     "const Scrub scrub = context_.clean ? Scrub{} : scrub_links(graph());", "const Scrub scrub;", POWER_LOSS),
    ("what the log replaced stays alive in the replay", "storage/replay.cc",
     "    generation_.kill(record->previous);\n", "", POWER_LOSS),
    ("nodes without a way to them are not relinked after a recovery", "storage/recovery.cc",
     "const uint64_t relinked = relink_unreachable(graph());", "const uint64_t relinked = 0;", POWER_LOSS),
    ("what a recovery mended without a replay is not synced", "storage/recovery.cc",
     "return context_.clean ? Status{} : generation().sync();", "return {};",
     "tests/crash/recovery_test"),
    ("the folder of a snapshot's files is not synced", "storage/snapshot.cc",
     '    VS_RETURN_IF_ERROR(files_.sync_directory(temporary_ + "/rocksdb"));\n', "", POWER_LOSS),
    ("the name of a snapshot is not synced", "storage/snapshot.cc",
     "const Status synced = files_.sync_directory(root_);", "const Status synced;", POWER_LOSS),
    ("what a snapshot copies is not synced", "storage/checksum.cc",
     "  return file->sync();\n}\n\n", "  return {};\n}\n\n", POWER_LOSS),
    ("links that the vacuum changed are not synced in the end", "storage/checkpoint.cc",
     "const bool links_changed = generation->vacuum().take_changed();", "const bool links_changed = false;",
     "tests/crash/recovery_test"),
    ("deletions that the log lost are believed", "storage/recovery.cc",
     "if (context_.clean || !context_.relaxed) return {};", "return {};", NESTED),
    ("lost operations are not noticed", "storage/preflight.cc",
     "  if (last.relaxed) return {};\n", "  if (last.relaxed || !last.relaxed) return {};\n", unit("storage_test", "*RocksDbLost*")),
    ("the same slot is live twice after an update", "storage/generation.cc",
     "  // nearer one (collection.cc).\n  if (replaced) kill(*replaced, slot.value_or(kNoSlot));\n", "  static_cast<void>(replaced);\n", unit("check_test", "*AGoodCollection*:*BesideWriters*")),
    ("a rebuild forgets what was replaced while it read", "storage/rebuild.cc",
     "    for (const Lsn superseded : collection_.window().take_recorded()) next_->kill(superseded);\n", "", REBUILD),
    ("a rebuild misses what is written while it links", "storage/commit_queue.cc",
     "      if (next) operation.next_slot = next->append(operation.lsn, operation.id, operation.vector);\n", "", REBUILD),
    ("a rebuild links what it read last, and does not read what came since", "storage/rebuild.cc",
     "    VS_RETURN_IF_ERROR(read(replay).status());\n    for", "    static_cast<void>(replay);\n    for", REBUILD),
    ("a rebuild serves before its operations are linked", "storage/rebuild.cc",
     "    VS_RETURN_IF_ERROR(attach(replay));\n    VS_RETURN_IF_ERROR(replay.link({}).status());\n",
     "    VS_RETURN_IF_ERROR(attach(replay));\n", REBUILD),
]


def run(command, folder, seconds=900):
    """Whether it ended with 0, and its last lines."""
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=seconds)
    except subprocess.TimeoutExpired:
        return False, "it did not end"
    return done.returncode == 0, done.stdout[-2000:]


class Copy:
    """The sources, as git knows them, and a build of them."""

    def __init__(self, build):
        self.sources = pathlib.Path(tempfile.mkdtemp(prefix="vsd-mutants-")) if build is None else pathlib.Path(build)
        self.owned = build is None
        files = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True).stdout
        for name in files.decode().split("\0"):
            if name:
                self.write(name, (PROJECT / name).read_bytes())
        self.build = self.sources / "build"
        subprocess.run(["cmake", "-S", self.sources, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"],
                       check=True, stdout=subprocess.DEVNULL)

    def write(self, name, content):
        path = self.sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)

    def compile(self, program):
        ended_well, output = run(["cmake", "--build", self.build, "--target", program], self.sources, 3600)
        if not ended_well:
            raise SystemExit(f"{program} does not compile:\n{output}")

    def remove(self):
        if self.owned:
            shutil.rmtree(self.sources)


def text_of(file, before):
    """The file, in which `before` must stand once."""
    text = (PROJECT / file).read_text()
    if text.count(before) != 1:
        raise SystemExit(f"{file} has {text.count(before)} times, once was expected: {before!r}")
    return text


def try_mutant(copy, file, before, after, test):
    """Whether the test noticed."""
    original = text_of(file, before)
    copy.write(file, original.replace(before, after).encode())
    program, *arguments = test.split()
    copy.compile(pathlib.Path(program).name)
    passed, output = run([copy.build / program, *arguments], copy.sources)
    copy.write(file, original.encode())
    return not passed, output


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of a mutant's name; all without one")
    parser.add_argument("--build", metavar="FOLDER", help="for the copy and its build; kept")
    parser.add_argument("--texts", action="store_true", help="only look whether each finds its place; builds nothing")
    options = parser.parse_args()
    if options.texts:
        for mutant in MUTANTS:
            text_of(mutant[1], mutant[2])
        return
    chosen = [m for m in MUTANTS if not options.names or any(name in m[0] for name in options.names)]
    copy = Copy(options.build)
    survivors = []
    for test in sorted({m[4] for m in chosen}):
        program, *arguments = test.split()
        copy.compile(pathlib.Path(program).name)
        passed, output = run([copy.build / program, *arguments], copy.sources)
        if not passed:
            raise SystemExit(f"{test} fails without any mutant:\n{output}")
    print("| mutant | in | noticed by | seconds |\n|---|---|---|---|", flush=True)
    for name, file, before, after, test in chosen:
        begin = time.monotonic()
        noticed, output = try_mutant(copy, file, before, after, test)
        program = pathlib.Path(test.split()[0]).name
        print(f"| {name} | {file} | {program if noticed else '**nothing**'} | {time.monotonic() - begin:.0f} |", flush=True)
        if not noticed:
            survivors.append(name)
    copy.remove()
    if survivors:
        raise SystemExit(f"{len(survivors)} survived: {', '.join(survivors)}")


if __name__ == "__main__":
    sys.exit(main())
