// Several threads that do the same work, without the end of the whole program when one of them throws.
#pragma once

#include <cstddef>
#include <functional>

#include "index/status.h"

namespace vs::cli {

// Runs work(0) … work(count - 1), each on its own thread, and waits for all of them. An exception (mostly of lacking
// memory), or a thread that cannot be started, is given to `failed`, on whatever thread it happened; the others go on.
void run_threads(size_t count, const std::function<void(size_t)>& work, const std::function<void(Status)>& failed);

}  // namespace vs::cli
