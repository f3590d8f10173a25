#include "cli/threads.h"

#include <new>
#include <thread>
#include <vector>

namespace vs::cli {
namespace {

void guarded(const std::function<void()>& work, const std::function<void(Status)>& failed) {
  try {
    work();
  } catch (const std::bad_alloc&) {
    failed({Code::kInternal, "not enough memory; try smaller files or fewer connections"});
  } catch (const std::exception& error) {
    failed({Code::kInternal, std::string("internal error: ") + error.what()});
  }
}

}  // namespace

void run_threads(size_t count, const std::function<void(size_t)>& work, const std::function<void(Status)>& failed) {
  std::vector<std::thread> threads;
  guarded(
      [&] {
        threads.reserve(count);
        for (size_t i = 0; i < count; ++i)
          threads.emplace_back([&work, &failed, i] { guarded([&work, i] { work(i); }, failed); });
      },
      failed);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace vs::cli
