#include "cli/import.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <deque>
#include <mutex>

#include "cli/client.h"
#include "cli/import_resume.h"
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
// How many rows a synced state in the journal makes room for: enough that the sync costs little.
constexpr uint64_t kReservedRows = 4096;
// After how many rows the mark is written without a sync, so that few have to be looked up after a kill.
constexpr uint64_t kMarkedRows = 512;

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

struct AddReply {
  bool replaced = false;
  uint64_t lsn = 0;
};

// REQUIRES: a JSON object.
AddReply read_add_reply(std::string_view json) {
  AddReply reply;
  JsonCursor cursor(json);
  cursor.open('{');
  for (std::string name; cursor.more('}') && cursor.name(name);) {
    const std::string_view value = cursor.value();
    if (name == "created") reply.replaced = value == "false";
    if (name == "lsn") std::from_chars(value.data(), value.data() + value.size(), reply.lsn);
  }
  return reply;
}

class Importer {
 public:
  Importer(const Settings& settings, ImportSource& source, const ImportTask& task)
      : settings_(settings),
        source_(source),
        task_(task),
        journal_(task.journal),
        low_water_(task.start),
        next_row_(task.start.rows),
        lsn_(task.lsn),
        progress_("importing", "rows", source.rows(), task.start.rows) {}

  // One connection's work, until no chunk is left or something stopped the import.
  void work() {
    auto client = Client::connect(settings_);
    if (!client.ok()) return stop(client.status(), client.status().code() == Code::kIoError);
    std::deque<RejectedRow> in_flight;  // without a status yet
    std::vector<SourceRow> chunk;
    while (!stopped_ && !Interrupt::requested() && take_chunk(chunk)) {
      const bool compare = chunk.front().number < task_.compare_below;
      const size_t room = compare ? 0 : kWindow - chunk.size();
      while (in_flight.size() > room)
        if (!take_reply(*client, in_flight)) return;
      if (compare) {
        if (!send_missing(*client, std::move(chunk))) return;
        continue;
      }
      std::string requests;
      for (const SourceRow& row : chunk) {
        append_add(task_.collection, row, "", requests);
        in_flight.push_back(rejected_row(source_, row, {}));
      }
      if (Status status = client->send(requests); !status.ok()) {
        // The daemon may have said why before it closed the connection.
        while (!in_flight.empty() && take_reply(*client, in_flight)) {
        }
        return stop(status, true);
      }
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
    result_.skipped = skipped_;
    // A signal that came when all was sent has ended nothing.
    result_.interrupted = Interrupt::requested() && !read_all_ && source_.rows() != next_row_;
    keep_first_rejected(result_, task_.rejected_listed);
    if (journal_ != nullptr && result_.complete()) journal_->remove();
    if (!result_.complete()) save(ImportJournal::Sync::kYes);
    return std::move(result_);
  }

 private:
  // Up to kChunkRows rows that can be sent; those that cannot are rejected here. False if there are no more, or after an
  // error.
  bool take_chunk(std::vector<SourceRow>& chunk) {
    const std::lock_guard lock(source_mutex_);
    chunk.clear();
    while (chunk.empty() && !read_all_ && !stopped_ && !Interrupt::requested()) {
      std::vector<RejectedRow> faulty;
      const uint64_t first = next_row_;
      uint64_t digest = 0;
      // What was read before an error is still sent.
      if (unreadable_.ok()) unreadable_ = read_rows(chunk, faulty, digest);
      if (next_row_ == first) {
        if (!unreadable_.ok()) stop(unreadable_, false);
        break;
      }
      if (next_row_ > reserved_) {
        reserved_ = next_row_ + kReservedRows;
        save(ImportJournal::Sync::kYes);
      } else if (next_row_ - first_unmarked_ >= kMarkedRows) {
        save(ImportJournal::Sync::kNo);
      }
      low_water_.begin(first, next_row_ - first, digest);
      for (RejectedRow& row : faulty) reject(std::move(row));
    }
    if (const auto part = source_.part()) progress_.set_part(*part);
    return !chunk.empty();
  }

  Status read_rows(std::vector<SourceRow>& chunk, std::vector<RejectedRow>& faulty, uint64_t& digest) {
    for (uint64_t read = 0; read < kChunkRows; ++read) {
      SourceRow row;
      VS_ASSIGN_OR_RETURN(const bool more, source_.next(row));
      if (!more) {
        read_all_ = true;
        return {};
      }
      ++next_row_;
      digest = row.digest;
      if (row.fault.ok())
        chunk.push_back(std::move(row));
      else
        faulty.push_back(rejected_row(source_, row, row.fault));
    }
    return {};
  }

  // Sends those rows of the chunk that the collection does not have just so, and waits for the replies. What vsctl sent before
  // it was killed may still be on its way into the collection while this looks; so a row that is not there is sent with
  // if=absent, and if it is there after all, looked up once more.
  bool send_missing(Client& client, std::vector<SourceRow> chunk) {
    while (!chunk.empty()) {
      bool lost = false;
      const auto presence = find_present(client, task_.collection, chunk, lost);
      if (!presence.ok()) return stop(presence.status(), lost), false;
      std::string requests;
      for (size_t i = 0; i < chunk.size(); ++i)
        if ((*presence)[i] != Presence::kSame)
          append_add(task_.collection, chunk[i], (*presence)[i] == Presence::kMissing ? " if=absent" : "", requests);
      if (Status status = client.send(requests); !status.ok()) return stop(status, true), false;
      std::vector<SourceRow> again;
      for (size_t i = 0; i < chunk.size(); ++i) {
        if ((*presence)[i] == Presence::kSame) {
          skipped_.fetch_add(1, std::memory_order_relaxed);
          settle(chunk[i].number, false);
          continue;
        }
        const auto reply = client.receive();
        if (!reply.ok()) return stop(reply.status(), reply.status().code() == Code::kIoError), false;
        if ((*presence)[i] == Presence::kMissing && reply->status.code() == Code::kExists)
          again.push_back(std::move(chunk[i]));
        else
          settle_reply(rejected_row(source_, chunk[i], {}), *reply);
      }
      chunk = std::move(again);
    }
    return true;
  }

  bool take_reply(Client& client, std::deque<RejectedRow>& in_flight) {
    const auto reply = client.receive();
    if (!reply.ok()) {
      stop(reply.status(), reply.status().code() == Code::kIoError);
      return false;
    }
    settle_reply(std::move(in_flight.front()), *reply);
    in_flight.pop_front();
    return true;
  }

  void settle_reply(RejectedRow row, const protocol::Reply& reply) {
    if (reply.status.ok()) {
      const AddReply add = read_add_reply(reply.json);
      acknowledged_.fetch_add(1, std::memory_order_relaxed);
      if (add.replaced) replaced_.fetch_add(1, std::memory_order_relaxed);
      for (uint64_t before = lsn_; before < add.lsn && !lsn_.compare_exchange_weak(before, add.lsn);) {
      }
      settle(row.number, false);
    } else if (concerns_row(reply.status.code())) {
      row.status = reply.status;
      reject(std::move(row));
    } else {
      stop(reply.status, false);
    }
  }

  void settle(uint64_t row, bool rejected) {
    low_water_.settle(row, rejected);
    progress_.advance(1);
  }

  void reject(RejectedRow row) {
    const uint64_t number = row.number;
    {
      const std::lock_guard lock(mutex_);
      add_rejected(result_, std::move(row), task_.rejected_listed, task_.rejects);
    }
    // Only now, so that what the journal calls settled stands in the file of rejected rows.
    settle(number, true);
  }

  // Writes the state. Without a journal that tells the truth there is none.
  void save(ImportJournal::Sync sync) {
    if (journal_ == nullptr) return;
    first_unmarked_ = next_row_;
    const LowWaterMark mark = low_water_.mark();
    if (journal_->append({task_.seed, mark, std::max(reserved_, task_.compare_below), lsn_}, sync).ok()) return;
    journal_->remove();
    journal_ = nullptr;
  }

  const Settings& settings_;
  ImportSource& source_;
  const ImportTask& task_;
  std::mutex source_mutex_;  // of source_ and of what follows down to read_all_
  ImportJournal* journal_;
  LowWater low_water_;
  uint64_t next_row_;
  uint64_t reserved_ = 0;        // no row from here on has been sent
  uint64_t first_unmarked_ = 0;  // next_row_ when the journal was last written
  Status unreadable_;            // an error that ended the reading
  bool read_all_ = false;
  std::atomic<uint64_t> lsn_;
  Progress progress_;
  std::atomic<uint64_t> acknowledged_{0};
  std::atomic<uint64_t> replaced_{0};
  std::atomic<uint64_t> skipped_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // of result_
  ImportResult result_;
};

}  // namespace

RejectedRow rejected_row(const ImportSource& source, const SourceRow& row, const Status& status) {
  return {row.number, source.path(row.file), row.file_row, row.line, row.id, status};
}

void keep_first_rejected(ImportResult& result, size_t listed) {
  std::sort(result.rejected.begin(), result.rejected.end(),
            [](const RejectedRow& a, const RejectedRow& b) { return a.number < b.number; });
  if (result.rejected.size() > listed) result.rejected.resize(listed);
}

void add_rejected(ImportResult& result, RejectedRow row, size_t listed, RejectFile* file) {
  if (file != nullptr && result.unrecorded.ok()) result.unrecorded = file->write(row);
  ++result.rejected_total;
  result.rejected.push_back(std::move(row));
  // Connections are at different rows, so the first ones are known only later.
  if (result.rejected.size() / 2 >= listed) keep_first_rejected(result, listed);
}

ImportResult import_rows(const Settings& settings, ImportSource& source, const ImportTask& task) {
  const auto start = std::chrono::steady_clock::now();
  const Interrupt interrupt;
  ImportResult result;
  {
    Importer importer(settings, source, task);
    run_threads(
        task.connections, [&importer](size_t) { importer.work(); },
        [&importer](const Status& status) { importer.stop(status, false); });
    result = importer.finish();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace vs::cli
