#include "daemon/jobs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "index/limits.h"

namespace vs::daemon {
namespace {

using std::chrono::milliseconds;

// Opens once; work waits at it.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

Jobs::Work returns(std::string json) {
  return [json](storage::Progress&) { return Result<std::string>(json); };
}

// Runs until it is cancelled.
Result<std::string> run_for_ever(storage::Progress& progress) {
  progress.total = 1000;
  while (!progress.cancelled) {
    if (progress.done < 500) ++progress.done;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return Status(Code::kShuttingDown, "cancelled");
}

uint64_t submit(Jobs& jobs, Jobs::Work work) {
  auto number = jobs.submit("check", "c", std::move(work));
  EXPECT_TRUE(number.ok()) << number.status().to_string();
  return number.ok() ? *number : 0;
}

JobView look(const Jobs& jobs, uint64_t number) {
  auto view = jobs.find(number);
  EXPECT_TRUE(view.ok()) << view.status().to_string();
  return view.ok() ? *std::move(view) : JobView{};
}

JobView wait_for(const Jobs& jobs, uint64_t number) {
  for (;;) {
    JobView view = look(jobs, number);
    if (view.state != JobState::kRunning) return view;
    std::this_thread::sleep_for(milliseconds(1));
  }
}

TEST(Jobs, OneThatSucceeds) {
  Jobs jobs;
  EXPECT_TRUE(jobs.list().empty());
  const uint64_t number = submit(jobs, returns(R"({"clean":true})"));
  EXPECT_EQ(number, 1u);
  const JobView view = wait_for(jobs, number);
  EXPECT_EQ(view.number, 1u);
  EXPECT_EQ(view.kind, "check");
  EXPECT_EQ(view.collection, "c");
  EXPECT_EQ(view.state, JobState::kDone);
  EXPECT_EQ(view.percent, 100);
  EXPECT_FALSE(view.rate);
  EXPECT_FALSE(view.eta_s);
  EXPECT_EQ(view.result, R"({"clean":true})");
  EXPECT_EQ(job_state_name(view.state), "done");
}

TEST(Jobs, OneThatFailsShowsItsError) {
  Jobs jobs;
  const uint64_t number = submit(jobs, [](storage::Progress& progress) {
    progress.total = 4;
    progress.done = 1;
    return Result<std::string>(Status(Code::kIoError, "the \"disk\" is gone"));
  });
  const JobView view = wait_for(jobs, number);
  EXPECT_EQ(view.state, JobState::kFailed);
  EXPECT_EQ(view.percent, 25);
  const auto result = nlohmann::json::parse(view.result);
  EXPECT_EQ(result, nlohmann::json({{"code", "io_error"}, {"message", "the \"disk\" is gone"}}));
  EXPECT_EQ(job_state_name(view.state), "failed");
}

TEST(Jobs, ShuttingDownWithoutACancelIsAFailure) {
  Jobs jobs;
  const uint64_t number = submit(
      jobs, [](storage::Progress&) { return Result<std::string>(Status(Code::kShuttingDown, "closed behind it")); });
  EXPECT_EQ(wait_for(jobs, number).state, JobState::kFailed);
}

TEST(Jobs, ProgressRateAndRemainingTime) {
  Jobs jobs;
  Gate counted, go;
  const uint64_t number = submit(jobs, [&](storage::Progress& progress) {
    std::this_thread::sleep_for(milliseconds(20));
    progress.total = 2000;
    progress.done = 500;
    counted.open();
    go.wait();
    progress.done = 2000;
    return Result<std::string>("{}");
  });
  EXPECT_FALSE(look(jobs, number).eta_s);
  EXPECT_EQ(look(jobs, number).result, "null");
  counted.wait();
  const JobView view = look(jobs, number);
  EXPECT_EQ(view.state, JobState::kRunning);
  EXPECT_EQ(view.percent, 25);
  ASSERT_TRUE(view.rate);
  ASSERT_TRUE(view.eta_s);
  EXPECT_GT(*view.rate, 0);
  EXPECT_LE(*view.rate, 500 / 0.02);
  EXPECT_GE(*view.eta_s, 0);
  go.open();
  const JobView done = wait_for(jobs, number);
  EXPECT_EQ(done.percent, 100);
  EXPECT_TRUE(done.rate);
  EXPECT_FALSE(done.eta_s);
}

TEST(Jobs, MoreDoneThanThereWasIsWhole) {
  Jobs jobs;
  Gate counted, go;
  const uint64_t number = submit(jobs, [&](storage::Progress& progress) {
    progress.total = 10;
    progress.done = 15;
    counted.open();
    go.wait();
    return Result<std::string>("{}");
  });
  counted.wait();
  const JobView view = look(jobs, number);
  EXPECT_EQ(view.percent, 100);
  EXPECT_TRUE(!view.eta_s || *view.eta_s == 0);
  go.open();
}

TEST(Jobs, RunOneAfterTheOtherInTheirOrder) {
  Jobs jobs;
  std::vector<int> order;  // written by one thread at a time, which is what is tested
  std::atomic<int> running{0};
  uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    last = submit(jobs, [&, i](storage::Progress&) {
      EXPECT_EQ(running.fetch_add(1), 0);
      order.push_back(i);
      --running;
      return Result<std::string>("{}");
    });
  }
  wait_for(jobs, last);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order.at(static_cast<size_t>(i)), i);
  EXPECT_EQ(jobs.list().size(), 20u);
}

TEST(Jobs, CancelOneThatRuns) {
  Jobs jobs;
  const uint64_t number = submit(jobs, run_for_ever);
  while (look(jobs, number).percent == 0) std::this_thread::sleep_for(milliseconds(1));
  ASSERT_TRUE(jobs.cancel(number).ok());
  const JobView view = wait_for(jobs, number);
  EXPECT_EQ(view.state, JobState::kCancelled);
  EXPECT_EQ(view.result, "null");
  EXPECT_LT(view.percent, 100);
  EXPECT_EQ(job_state_name(view.state), "cancelled");
  EXPECT_EQ(wait_for(jobs, submit(jobs, returns("{}"))).state, JobState::kDone);
}

TEST(Jobs, CancelOneThatWaits) {
  Jobs jobs;
  const uint64_t first = submit(jobs, run_for_ever);
  const uint64_t second = submit(jobs, [](storage::Progress&) {
    ADD_FAILURE() << "it was cancelled before its turn";
    return Result<std::string>("{}");
  });
  EXPECT_EQ(look(jobs, second).state, JobState::kRunning);
  EXPECT_EQ(look(jobs, second).percent, 0);
  const auto cancelled = jobs.cancel(second);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->state, JobState::kCancelled);
  ASSERT_TRUE(jobs.cancel(first).ok());
  EXPECT_EQ(wait_for(jobs, first).state, JobState::kCancelled);
}

TEST(Jobs, OneThatIsDoneBeforeItSeesTheCancelIsDone) {
  Jobs jobs;
  Gate began, go;
  const uint64_t number = submit(jobs, [&](storage::Progress&) {
    began.open();
    go.wait();
    return Result<std::string>("{}");
  });
  began.wait();
  EXPECT_TRUE(jobs.cancel(number).ok());
  EXPECT_TRUE(jobs.cancel(number).ok()) << "twice is no error while it runs";
  go.open();
  EXPECT_EQ(wait_for(jobs, number).state, JobState::kDone);
}

TEST(Jobs, CancelRefusesWhatCannotBe) {
  Jobs jobs;
  EXPECT_EQ(jobs.cancel(1).status().code(), Code::kNotFound);
  EXPECT_EQ(jobs.find(1).status().code(), Code::kNotFound);
  const uint64_t number = submit(jobs, returns("{}"));
  wait_for(jobs, number);
  const Status status = jobs.cancel(number).status();
  EXPECT_EQ(status.code(), Code::kBadArgument);
  EXPECT_NE(status.message().find("is done"), std::string::npos) << status.message();
}

TEST(Jobs, TheLastOnesThatEndedAreKept) {
  Jobs jobs;
  uint64_t last = 0;
  for (size_t i = 0; i < limits::kJobsKept + 7; ++i) {
    last = submit(jobs, returns("{}"));
    wait_for(jobs, last);
  }
  const auto list = jobs.list();
  ASSERT_EQ(list.size(), limits::kJobsKept);
  EXPECT_EQ(list.front().number, 8u);
  EXPECT_EQ(list.back().number, last);
  EXPECT_EQ(jobs.find(7).status().code(), Code::kNotFound);
}

TEST(Jobs, OnlySoManyWait) {
  Jobs jobs;
  Gate began;
  const uint64_t first = submit(jobs, [&](storage::Progress& progress) {
    began.open();
    return run_for_ever(progress);
  });
  began.wait();
  for (size_t i = 0; i < limits::kJobsWaiting; ++i) submit(jobs, run_for_ever);
  const Status status = jobs.submit("check", "c", run_for_ever).status();
  EXPECT_EQ(status.code(), Code::kBusy);
  EXPECT_NE(status.message().find(std::to_string(limits::kJobsWaiting)), std::string::npos) << status.message();
  EXPECT_EQ(jobs.list().size(), limits::kJobsWaiting + 1);
  ASSERT_TRUE(jobs.cancel(first + 1).ok());
  submit(jobs, run_for_ever);
}

TEST(Jobs, StopCancelsAllAndTakesNoMore) {
  Jobs jobs;
  Gate began;
  const uint64_t running = submit(jobs, [&](storage::Progress& progress) {
    began.open();
    return run_for_ever(progress);
  });
  const uint64_t waiting = submit(jobs, run_for_ever);
  began.wait();
  const auto begin = std::chrono::steady_clock::now();
  jobs.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(look(jobs, running).state, JobState::kCancelled);
  EXPECT_EQ(look(jobs, waiting).state, JobState::kCancelled);
  EXPECT_EQ(jobs.submit("check", "c", returns("{}")).status().code(), Code::kShuttingDown);
  jobs.stop();
}

TEST(JobsConcurrency, SubmitLookAndCancelAtOnce) {
  Jobs jobs;
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const auto number = jobs.submit("check", "c", [](storage::Progress& progress) -> Result<std::string> {
          progress.total = 10;
          for (int step = 0; step < 10 && !progress.cancelled; ++step) ++progress.done;
          if (progress.cancelled) return Status(Code::kShuttingDown, "cancelled");
          return std::string("{}");
        });
        if (!number.ok()) continue;
        if (i % 2 == 0) (void)jobs.cancel(*number);
      }
    });
  }
  threads.emplace_back([&] {
    while (!over) {
      for (const JobView& view : jobs.list()) EXPECT_LE(view.percent, 100);
    }
  });
  threads[0].join();
  threads[1].join();
  jobs.cancel_all();
  over = true;
  threads[2].join();
  jobs.stop();
  for (const JobView& view : jobs.list()) EXPECT_NE(view.state, JobState::kRunning);
}

}  // namespace
}  // namespace vs::daemon
