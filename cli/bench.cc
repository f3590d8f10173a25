#include "cli/bench.h"

#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ctime>
#include <deque>
#include <fstream>
#include <mutex>
#include <numeric>

#include "cli/client.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/threads.h"

namespace vs::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

// How long replies are waited for when the run was stopped.
constexpr std::chrono::seconds kDrain{5};
// How often it is looked whether it was.
constexpr std::chrono::milliseconds kLook{100};

nanoseconds from_seconds(double seconds) { return nanoseconds(std::llround(seconds * 1e9)); }
double to_seconds(nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

// Of the calling thread since it began.
struct ThreadTimes {
  nanoseconds running{0};
  nanoseconds ready{0};  // could have run, and another had the processor; 0 where the system does not say

  ThreadTimes operator-(const ThreadTimes& before) const { return {running - before.running, ready - before.ready}; }
};

ThreadTimes thread_times() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  ThreadTimes times{std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec)};
  int64_t running = 0;
  int64_t ready = 0;
  if (std::ifstream("/proc/thread-self/schedstat") >> running >> ready) times.ready = nanoseconds(ready);
  return times;
}

// What all connections share.
class Run {
 public:
  Run(const BenchPlan& bench_plan, const EvalQueries& bench_queries) : plan(bench_plan), queries(bench_queries) {
    if (!plan.rate) return;
    warmup_arrivals_ = static_cast<uint64_t>(std::ceil(*plan.rate * plan.warmup_s));
    arrivals_ = UINT64_MAX;
    if (plan.count) arrivals_ = warmup_arrivals_ + *plan.count;
    if (plan.duration_s)
      arrivals_ =
          std::min(arrivals_, warmup_arrivals_ + static_cast<uint64_t>(std::ceil(*plan.rate * *plan.duration_s)));
  }

  const BenchPlan& plan;
  const EvalQueries& queries;

  void begin() {
    start = Clock::now();
    counted_from = start + (plan.rate ? arrival(warmup_arrivals_, *plan.rate) : from_seconds(plan.warmup_s));
    end = plan.duration_s ? counted_from + from_seconds(*plan.duration_s) : Clock::time_point::max();
  }
  Clock::time_point start;
  Clock::time_point counted_from;
  Clock::time_point end;

  // Closed loop: whether one more request is to be counted. Each is, until there are as many as were asked for.
  bool take_ticket() { return !plan.count || tickets_.fetch_add(1, std::memory_order_relaxed) < *plan.count; }
  // Open loop: the arrivals of warm-up and run; those below warmup_arrivals() are not counted.
  uint64_t arrivals() const { return arrivals_; }
  uint64_t warmup_arrivals() const { return warmup_arrivals_; }

  bool stopped() const { return stopped_.load(std::memory_order_relaxed) || Interrupt::requested(); }
  void stop(const Status& status, bool lost) {
    const std::lock_guard lock(mutex_);
    // The daemon's own reason says more than the loss of the connection which follows it.
    if (failed_.ok() || (lost_ && !lost)) {
      failed_ = status;
      lost_ = lost;
    }
    stopped_.store(true, std::memory_order_relaxed);
  }
  // REQUIRES: no connection works any more.
  const Status& failed() const { return failed_; }
  bool lost() const { return lost_; }

  // For the progress line: replies that were counted, and errors among them.
  std::atomic<uint64_t> replies{0};
  std::atomic<uint64_t> errors{0};
  std::atomic<size_t> working{0};  // connections

 private:
  uint64_t warmup_arrivals_ = 0;
  uint64_t arrivals_ = 0;
  std::atomic<uint64_t> tickets_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // of the following
  Status failed_;
  bool lost_ = false;
};

// One connection's work.
class Worker {
 public:
  Worker(Run& run, Client client, size_t number) : run_(run), client_(std::move(client)), number_(number) {}

  void work() {
    // Else the system wakes up who sleeps until the next request up to 50 µs late.
    ::prctl(PR_SET_TIMERSLACK, 1UL);
    const Status status = exchange();
    if (!status.ok()) run_.stop(status, status.code() == Code::kIoError);
    if (counting_) times_ = thread_times() - times_before_;
    run_.working.fetch_sub(1, std::memory_order_relaxed);
  }

  void add_to(BenchResult& result) const {
    result.searches.merge(searches_);
    result.writes.merge(writes_);
    result.lateness.merge(lateness_);
    result.unsent += unsent_;
    result.written.push_back(written_);
    result.seconds = std::max(result.seconds, to_seconds(last_reply_));
  }
  const ThreadTimes& times() const { return times_; }

 private:
  struct InFlight {
    Clock::time_point due;
    bool write;
    bool counted;
  };

  Status exchange() {
    while (!over_) {
      VS_RETURN_IF_ERROR(send_what_is_due());
      if (in_flight_.empty() && over_) break;
      VS_ASSIGN_OR_RETURN(const bool ready, client_.wait_for_reply(next_event()));
      if (ready) VS_RETURN_IF_ERROR(take_reply());
    }
    auto deadline = Clock::time_point::max();
    while (!in_flight_.empty() && Clock::now() < deadline) {
      if (run_.stopped()) deadline = std::min(deadline, Clock::now() + kDrain);
      VS_ASSIGN_OR_RETURN(const bool ready, client_.wait_for_reply(Clock::now() + kLook));
      if (ready) VS_RETURN_IF_ERROR(take_reply());
    }
    return {};
  }

  bool window_full() const { return in_flight_.size() >= run_.plan.pipeline; }

  // Until when there is nothing to do but to wait for a reply.
  Clock::time_point next_event() const {
    const auto look = Clock::now() + kLook;
    if (window_full() || !run_.plan.rate) return std::min(look, run_.end);
    return std::min(look, run_.start + arrival(next_arrival(), *run_.plan.rate));
  }

  uint64_t next_arrival() const { return turn_ * run_.plan.connections + number_; }

  Status send_what_is_due() {
    if (run_.stopped()) over_ = true;
    return run_.plan.rate ? send_open() : send_closed();
  }

  Status send_closed() {
    while (!over_ && !window_full()) {
      const auto now = Clock::now();
      const bool counted = now >= run_.counted_from;
      if (now >= run_.end || (counted && !run_.take_ticket())) {
        over_ = true;
        return {};
      }
      VS_RETURN_IF_ERROR(send(now, counted));
    }
    if (Clock::now() >= run_.end) over_ = true;
    return {};
  }

  Status send_open() {
    while (!over_) {
      const auto now = Clock::now();
      // A backlog of the warm-up is no part of the run.
      if (now >= run_.counted_from)
        while (next_arrival() < run_.warmup_arrivals()) ++turn_;
      const uint64_t index = next_arrival();
      if (index >= run_.arrivals()) {
        over_ = true;
        return {};
      }
      const auto due = run_.start + arrival(index, *run_.plan.rate);
      if (now < due) return {};
      if (window_full()) {
        was_full_ = true;
        // What is due by the end and does not fit any more is not waited for: there may be any number of them.
        if (now < run_.end) return {};
        unsent_ = (run_.arrivals() - 1 - index) / run_.plan.connections + 1;
        over_ = true;
        return {};
      }
      const bool counted = index >= run_.warmup_arrivals();
      if (counted && !was_full_) lateness_.record(now - due);
      was_full_ = false;
      VS_RETURN_IF_ERROR(send(due, counted));
    }
    return {};
  }

  Status send(Clock::time_point due, bool counted) {
    if (counted && !counting_) {
      counting_ = true;
      times_before_ = thread_times();
    }
    const uint64_t index = next_arrival();
    const std::string& vector = run_.queries.vectors[index % run_.queries.vectors.size()];
    // By the connection's own count, so that it keeps the share however fast the others are.
    const bool write = is_write(turn_ + number_, run_.plan.writes);
    request_ = (write ? "ADD " : "SEARCH ") + run_.plan.collection + ' ';
    if (write) request_ += written_id(run_.plan.id_prefix, number_, written_++) + ' ';
    request_ += vector;
    request_ += write ? " if=absent" : run_.plan.search_options;
    request_ += '\n';
    ++turn_;
    in_flight_.push_back({due, write, counted});
    return client_.post(request_);
  }

  Status take_reply() {
    VS_ASSIGN_OR_RETURN(const protocol::Reply reply, client_.receive());
    const auto now = Clock::now();
    const InFlight request = in_flight_.front();
    in_flight_.pop_front();
    if (!request.counted) return {};
    BenchOperation& operation = request.write ? writes_ : searches_;
    if (reply.status.ok()) {
      operation.latencies.record(now - request.due);
    } else {
      BenchErrors& errors = operation.errors[std::string(code_name(reply.status.code()))];
      if (errors.count++ == 0) errors.first = reply.status.message();
      run_.errors.fetch_add(1, std::memory_order_relaxed);
    }
    run_.replies.fetch_add(1, std::memory_order_relaxed);
    last_reply_ = now - run_.counted_from;
    return {};
  }

  Run& run_;
  Client client_;
  const size_t number_;
  std::deque<InFlight> in_flight_;
  std::string request_;
  uint64_t turn_ = 0;  // of this connection's requests
  uint64_t written_ = 0;
  uint64_t unsent_ = 0;
  bool over_ = false;      // nothing is to be sent any more
  bool was_full_ = false;  // the next request had to wait for replies
  bool counting_ = false;
  ThreadTimes times_before_;
  ThreadTimes times_;
  nanoseconds last_reply_{0};
  BenchOperation searches_;
  BenchOperation writes_;
  Histogram lateness_;
};

// Draws until no connection works any more.
void show_progress(const Run& run) {
  const ProgressLine line(run.plan.rate ? "open loop" : "closed loop");
  auto before = Clock::now();
  uint64_t seen = 0;
  while (line.shown() && run.working.load(std::memory_order_relaxed) > 0 && !run.stopped()) {
    ::poll(nullptr, 0, 200);
    const auto now = Clock::now();
    const uint64_t replies = run.replies.load(std::memory_order_relaxed);
    const double rate = static_cast<double>(replies - seen) / to_seconds(now - before);
    before = now;
    seen = replies;
    if (now < run.counted_from) {
      line.draw(0, "warming up");
      continue;
    }
    double part = 0;
    if (run.plan.count) part = static_cast<double>(replies) / static_cast<double>(*run.plan.count);
    if (run.plan.duration_s) part = std::max(part, to_seconds(now - run.counted_from) / *run.plan.duration_s);
    part = std::min(part, 1.0);
    const double left = part > 0 ? to_seconds(now - run.counted_from) * (1 / part - 1) : 0;
    line.draw(part, std::to_string(replies) + " replies  " + std::to_string(std::llround(rate)) + " replies/s  " +
                        std::to_string(run.errors.load(std::memory_order_relaxed)) + " errors  ETA " +
                        short_duration(left));
  }
}

}  // namespace

bool is_write(uint64_t index, double share) {
  const auto writes_before = [share](uint64_t i) { return std::floor(static_cast<double>(i) * share); };
  return writes_before(index + 1) > writes_before(index);
}

nanoseconds arrival(uint64_t index, double rate) { return from_seconds(static_cast<double>(index) / rate); }

std::string written_id(const std::string& prefix, size_t connection, uint64_t number) {
  return prefix + std::to_string(connection) + "-" + std::to_string(number);
}

uint64_t BenchOperation::error_count() const {
  uint64_t sum = 0;
  for (const auto& [code, error] : errors) sum += error.count;
  return sum;
}

void BenchOperation::merge(const BenchOperation& other) {
  latencies.merge(other.latencies);
  for (const auto& [code, error] : other.errors) {
    BenchErrors& sum = errors[code];
    if (sum.count == 0) sum.first = error.first;
    sum.count += error.count;
  }
}

BenchResult run_bench(const Settings& settings, const BenchPlan& plan, const EvalQueries& queries) {
  BenchResult result;
  std::deque<Worker> workers;
  Run run(plan, queries);
  for (size_t i = 0; i < plan.connections; ++i) {
    auto client = Client::connect(settings);
    // A daemon with too many clients says so to the first request.
    const auto pong = client.ok() ? client->call("PING") : Result<protocol::Reply>(client.status());
    const Status status = pong.ok() ? pong->status : pong.status();
    if (!status.ok()) {
      result.failed = status;
      result.lost = !pong.ok() && status.code() == Code::kIoError;
      return result;
    }
    workers.emplace_back(run, *std::move(client), i);
  }
  run.working = workers.size();
  run.begin();
  run_threads(
      workers.size() + 1, [&](size_t i) { return i < workers.size() ? workers[i].work() : show_progress(run); },
      [&run](const Status& status) { run.stop(status, false); });
  double cpu_seconds = 0;
  for (const Worker& worker : workers) {
    worker.add_to(result);
    cpu_seconds += to_seconds(worker.times().running);
    result.busiest_thread = std::max(result.busiest_thread, to_seconds(worker.times().running + worker.times().ready));
  }
  const double seconds = std::max(result.seconds, 1e-9);
  result.cpu_cores = cpu_seconds / seconds;
  result.busiest_thread /= seconds;
  result.failed = run.failed();
  result.lost = run.lost();
  result.interrupted = Interrupt::requested();
  return result;
}

Result<uint64_t> delete_written(const Settings& settings, const BenchPlan& plan, const std::vector<uint64_t>& written) {
  constexpr uint64_t kAtOnce = 500;
  Progress progress("deleting", "points", std::accumulate(written.begin(), written.end(), uint64_t{0}));
  VS_ASSIGN_OR_RETURN(Client client, Client::connect(settings));
  uint64_t deleted = 0;
  for (size_t connection = 0; connection < written.size(); ++connection)
    for (uint64_t first = 0; first < written[connection]; first += kAtOnce) {
      const uint64_t last = std::min(first + kAtOnce, written[connection]);
      std::string request = "DEL " + plan.collection;
      for (uint64_t i = first; i < last; ++i) request += ' ' + written_id(plan.id_prefix, connection, i);
      VS_ASSIGN_OR_RETURN(const protocol::Reply reply, client.call(request));
      VS_RETURN_IF_ERROR(reply.status);
      progress.advance(last - first);
      const auto count = parse_json(reply.json).value("deleted", nlohmann::ordered_json());
      if (count.is_number_unsigned()) deleted += count.get<uint64_t>();
    }
  return deleted;
}

}  // namespace vs::cli
