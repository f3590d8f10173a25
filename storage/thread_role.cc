#include "storage/thread_role.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace vs::storage {
namespace {

// The kernel gives turns of about 3 ms, and mostly lets a thread have the whole of its own. One that asks for shorter ones
// comes before those; its share of the time stays the same.
constexpr uint64_t kShortTurnNs = 200'000;
constexpr int kLinksNice = 5;  // more than the process is
constexpr int kNiceMax = 19;

// The kernel's struct sched_attr, in its first version; linux/sched/types.h and the C library's headers exclude each other.
struct SchedAttributes {
  uint32_t size = sizeof(SchedAttributes);
  uint32_t sched_policy = 0;
  uint64_t sched_flags = 0;
  int32_t sched_nice = 0;
  uint32_t sched_priority = 0;
  uint64_t sched_runtime = 0;  // of a turn, in ns
  uint64_t sched_deadline = 0;
  uint64_t sched_period = 0;
};
static_assert(sizeof(SchedAttributes) == 48);

// What the process was started with, such as Nice= in its unit, stays.
void ask_for_short_turns() {
  SchedAttributes attributes;
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  if (attributes.sched_policy != SCHED_OTHER) return;
  attributes.sched_runtime = kShortTurnNs;
  ::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace

void take_role(const char* name, ThreadRole role) {
  ::pthread_setname_np(::pthread_self(), name);
  if (role == ThreadRole::kServes) ask_for_short_turns();
  if (role == ThreadRole::kLinks) {
    ::setpriority(PRIO_PROCESS, 0, std::min(::getpriority(PRIO_PROCESS, 0) + kLinksNice, kNiceMax));
  }
}

}  // namespace vs::storage
