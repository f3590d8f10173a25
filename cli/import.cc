#include "cli/import.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>

#include "cli/client.h"
#include "cli/interrupt.h"
#include "cli/json_cursor.h"
#include "cli/progress.h"
#include "cli/threads.h"

namespace vs::cli {
namespace {

constexpr uint64_t kChunkRows = 64;
// Requests without a reply on one connection: enough for large commit groups in the daemon, well below its limit.
constexpr uint64_t kWindow = 256;
static_assert(kWindow + kChunkRows <= limits::kRequestsInFlight);

// An error of the row itself; with any other the rest would fare no better.
bool concerns_row(Code code) {
  switch (code) {
    case Code::kBadRequest:
    case Code::kBadArgument:
    case Code::kExists:
    case Code::kDimensionMismatch:
    case Code::kNotFinite:
    case Code::kZeroVector:
    case Code::kTooLarge:
      return true;
    default:
      return false;
  }
}

// Whether the reply to an ADD says that it replaced a point. REQUIRES: it is a JSON object.
bool replaced(std::string_view json) {
  JsonCursor cursor(json);
  cursor.open('{');
  for (std::string name; cursor.more('}') && cursor.name(name);)
    if (cursor.value() == "false" && name == "created") return true;
  return false;
}

class Importer {
 public:
  Importer(const Settings& settings, const std::string& collection, const ImportSource& source, size_t rejected_listed)
      : settings_(settings),
        collection_(collection),
        source_(source),
        rows_(source.rows()),
        rejected_listed_(rejected_listed),
        progress_("importing", "rows", rows_) {}

  // One connection's work, until no chunk is left or something stopped the import.
  void work() {
    auto client = Client::connect(settings_);
    if (!client.ok()) return stop(client.status(), client.status().code() == Code::kIoError);
    std::deque<uint64_t> in_flight;
    std::string requests;
    while (!stopped_ && !Interrupt::requested()) {
      const uint64_t first = next_row_.fetch_add(kChunkRows);
      if (first >= rows_) break;
      const uint64_t count = std::min(kChunkRows, rows_ - first);
      requests.clear();
      if (Status status = source_.append_requests(collection_, first, count, requests); !status.ok()) {
        stop(status, false);
        break;
      }
      while (in_flight.size() + count > kWindow)
        if (!take_reply(*client, in_flight)) return;
      if (Status status = client->send(requests); !status.ok()) {
        // The daemon may have said why before it closed the connection.
        while (!in_flight.empty() && take_reply(*client, in_flight)) {
        }
        return stop(status, true);
      }
      for (uint64_t row = first; row < first + count; ++row) in_flight.push_back(row);
    }
    while (!in_flight.empty())
      if (!take_reply(*client, in_flight)) return;
  }

  void stop(const Status& status, bool lost) {
    const std::lock_guard lock(mutex_);
    // The daemon's own reason says more than the loss of the connection which follows it.
    if (result_.stopped.ok() || (result_.lost && !lost)) {
      result_.stopped = status;
      result_.lost = lost;
    }
    stopped_ = true;
  }

  ImportResult finish() {
    result_.acknowledged = acknowledged_;
    result_.replaced = replaced_;
    // A signal that came when all was sent has ended nothing.
    result_.interrupted = Interrupt::requested() && acknowledged_ + result_.rejected_total < rows_;
    keep_first_rejected();
    return std::move(result_);
  }

 private:
  bool take_reply(Client& client, std::deque<uint64_t>& in_flight) {
    const auto reply = client.receive();
    if (!reply.ok()) {
      stop(reply.status(), reply.status().code() == Code::kIoError);
      return false;
    }
    const uint64_t row = in_flight.front();
    in_flight.pop_front();
    progress_.advance(1);
    if (reply->status.ok()) {
      acknowledged_.fetch_add(1, std::memory_order_relaxed);
      if (replaced(reply->json)) replaced_.fetch_add(1, std::memory_order_relaxed);
    } else if (concerns_row(reply->status.code())) {
      reject(row, reply->status);
    } else {
      stop(reply->status, false);
    }
    return true;
  }

  void keep_first_rejected() {
    std::sort(result_.rejected.begin(), result_.rejected.end(),
              [](const RejectedRow& a, const RejectedRow& b) { return a.row < b.row; });
    if (result_.rejected.size() > rejected_listed_) result_.rejected.resize(rejected_listed_);
  }

  void reject(uint64_t row, const Status& status) {
    const std::lock_guard lock(mutex_);
    ++result_.rejected_total;
    result_.rejected.push_back({row, source_.id(row), status});
    // Connections are at different rows, so the first ones are known only later.
    if (result_.rejected.size() / 2 >= rejected_listed_) keep_first_rejected();
  }

  const Settings& settings_;
  const std::string& collection_;
  const ImportSource& source_;
  const uint64_t rows_;
  const size_t rejected_listed_;
  Progress progress_;
  std::atomic<uint64_t> next_row_{0};
  std::atomic<uint64_t> acknowledged_{0};
  std::atomic<uint64_t> replaced_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // of result_
  ImportResult result_;
};

}  // namespace

ImportResult import_rows(const Settings& settings, const std::string& collection, const ImportSource& source,
                         unsigned connections, size_t rejected_listed) {
  const auto start = std::chrono::steady_clock::now();
  const Interrupt interrupt;
  ImportResult result;
  {
    Importer importer(settings, collection, source, rejected_listed);
    run_threads(
        connections, [&importer](size_t) { importer.work(); },
        [&importer](const Status& status) { importer.stop(status, false); });
    result = importer.finish();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace vs::cli
