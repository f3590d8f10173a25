#include "tests/crash/workload.h"

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <sstream>

#include "storage/restore.h"
#include "tests/crash/simulated_disk.h"

namespace vs::crash {
namespace {

using storage::Collection;
using storage::Database;

std::string attributes_of(int version) { return "{\"v\":" + std::to_string(version) + "}"; }

// Counts answers; the first that is not good is kept.
class Answers {
 public:
  explicit Answers(size_t count) : missing_(count) {}
  void give(const Status& status) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!status.ok() && status_.ok()) status_ = status;
    --missing_;
    changed_.notify_all();
  }
  Status wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return missing_ == 0; });
    return status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t missing_;
  Status status_;
};

using State = std::map<std::string, int>;  // version by id

void apply(State& state, const History::Operation& operation) {
  for (const auto& [id, version] : operation.changes) {
    if (version) {
      state[id] = *version;
    } else {
      state.erase(id);
    }
  }
}

// What the collection holds, or why that cannot be right.
std::string read_all(const Collection& collection, State& state) {
  storage::ScanRequest request{.limit = 50, .with = {.attributes = true, .vector = true}};
  for (;;) {
    const auto page = collection.scan(request);
    if (!page.ok()) return "a scan failed: " + page.status().to_string();
    for (const storage::Point& point : page->points) {
      const int version = std::atoi(point.attributes.c_str() + 5);
      if (point.attributes != attributes_of(version)) return point.id + " has the attributes " + point.attributes;
      if (point.vector != vector_of(version)) return point.id + " has another vector than its version";
      if (!state.emplace(point.id, version).second) return point.id + " was seen twice in a scan";
    }
    if (!page->next) return {};
    request.after = *page->next;
  }
}

// Ids whose versions differ, a few of them by name.
std::string differences(const State& expected, const State& found, size_t* count) {
  std::string text;
  *count = 0;
  const auto differs = [&](const std::string& id, const std::string& what) {
    if (++*count <= 3) text += ", " + id + " " + what;
  };
  for (const auto& [id, version] : expected) {
    const auto other = found.find(id);
    if (other == found.end()) {
      differs(id, "is missing (version " + std::to_string(version) + ")");
    } else if (other->second != version) {
      differs(id, "is version " + std::to_string(other->second) + " instead of " + std::to_string(version));
    }
  }
  for (const auto& [id, version] : found) {
    if (!expected.contains(id)) differs(id, "is there (version " + std::to_string(version) + ")");
  }
  return text;
}

std::string compare(const Collection& collection, const History& history, bool exact) {
  State found;
  if (std::string problem = read_all(collection, found); !problem.empty()) return problem;
  State state;
  const size_t least = exact ? history.acknowledged : 0;
  size_t nearest = 0;
  size_t fewest = std::numeric_limits<size_t>::max();
  std::string how;
  for (size_t done = 0;; ++done) {
    if (done >= least) {
      size_t count = 0;
      std::string text = differences(state, found, &count);
      if (count == 0) return {};
      if (count < fewest) {
        fewest = count;
        nearest = done;
        how = std::move(text);
      }
    }
    if (done == history.operations.size()) break;
    apply(state, history.operations[done]);
  }
  return "it holds " + std::to_string(found.size()) + " points (LSN " + std::to_string(collection.stats().lsn.value) +
         "), which is no first part of the " + std::to_string(history.operations.size()) +
         " operations sent, of which " + std::to_string(history.acknowledged) +
         " were acknowledged; nearest to it are " + std::to_string(nearest) + " operations, with " +
         std::to_string(fewest) + " differences" + how;
}

std::string check(Database& database, const std::string& name) {
  storage::Progress progress;
  const auto report = database.check(name, {.deep = true}, progress);
  if (!report.ok()) return "CHECK failed: " + report.status().to_string();
  if (report->clean()) return {};
  return "CHECK found " + std::to_string(report->problems_left) + " problems, the first: " + report->problems[0].kind +
         ": " + report->problems[0].detail;
}

}  // namespace

std::vector<float> vector_of(int version) {
  std::mt19937 random(static_cast<uint32_t>(version));
  std::normal_distribution<float> normal;
  std::vector<float> vector(kDim);
  for (float& x : vector) x = normal(random);
  return vector;
}

Status Workload::run() {
  for (int i = 0; i < options_.steps; ++i) {
    Status status;
    if (!database_) {
      auto opened = open_();
      status = opened.status();
      if (opened.ok()) database_ = *std::move(opened);
    }
    if (status.ok()) status = step();
    if (!status.ok() && status.code() != Code::kNoSpace) return status;
  }
  return database_ ? database_->close() : Status{};
}

void Workload::answered(const std::string& name, size_t number, const Status& status) {
  std::lock_guard<std::mutex> lock(mutex_);
  History& history = oracle_.collections[name];
  if (status.ok()) {
    // Answers come in any order; what lies before an acknowledged operation was durable before it.
    history.acknowledged = std::max(history.acknowledged, number);
  } else {
    history.operations[number - 1].changes.clear();  // refused: after a fatal error nobody is here to hear it
  }
}

Status Workload::step() {
  if (names_.empty()) return create();
  switch (below(12)) {
    case 0:
      if (names_.size() < 3) return create();
      [[fallthrough]];
    case 1:
      if (names_.size() > 1) return drop();
      [[fallthrough]];
    case 2:
    case 3:
      return database_->checkpoint().status();
    case 4: {
      const Status closed = database_->close();
      database_.reset();
      return closed;
    }
    case 5:
      return make_snapshot();
    default:
      return write(names_[static_cast<size_t>(below(static_cast<int>(names_.size())))], 1 + below(40));
  }
}

Status Workload::create() {
  const std::string name = "c" + std::to_string(names_given_++);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    oracle_.collections[name];
  }
  const auto metric = static_cast<Metric>(below(3));
  VS_RETURN_IF_ERROR(
      database_->create(name, {.dim = kDim, .metric = metric, .m = 4, .ef_construction = 40, .seed = 7}).status());
  names_.push_back(name);
  std::lock_guard<std::mutex> lock(mutex_);
  oracle_.collections[name].created = true;
  return {};
}

Status Workload::drop() {
  const std::string name = names_.front();
  names_.erase(names_.begin());
  {
    std::lock_guard<std::mutex> lock(mutex_);
    oracle_.collections[name].drop_sent = true;
  }
  VS_RETURN_IF_ERROR(database_->drop(name));
  std::lock_guard<std::mutex> lock(mutex_);
  oracle_.collections.erase(name);
  return {};
}

Status Workload::make_snapshot() {
  const std::string tag = "s" + std::to_string(++versions_);
  storage::Progress progress;
  VS_RETURN_IF_ERROR(database_->make_snapshot(tag, progress).status());
  std::lock_guard<std::mutex> lock(mutex_);
  oracle_.snapshots.insert(tag);
  return {};
}

Status Workload::write(const std::string& name, int requests) {
  VS_ASSIGN_OR_RETURN(const auto collection, database_->find(name));
  Answers answers(static_cast<size_t>(requests));
  // Sometimes a checkpoint or a rebuild comes while requests are under way.
  const int interlude_at = below(3) == 0 ? below(requests) : -1;
  const bool rebuild = below(2) == 0;
  Status interlude;
  for (int i = 0; i < requests; ++i) {
    if (i == interlude_at) {
      storage::Progress progress;
      interlude = rebuild ? database_->rebuild(name, {}, progress).status() : database_->checkpoint().status();
    }
    History::Operation operation;
    const auto any_id = [&] { return "p" + std::to_string(below(150)); };
    const bool remove = below(5) == 0;
    if (remove) {
      operation.changes = {{any_id(), std::nullopt}, {any_id(), std::nullopt}, {any_id(), std::nullopt}};
    } else {
      operation.changes = {{any_id(), ++versions_}};
    }
    size_t number = 0;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      History& history = oracle_.collections[name];
      history.operations.push_back(operation);
      number = history.operations.size();
    }
    const auto answer = [this, name, number, &answers](const Status& status) {
      answered(name, number, status);
      answers.give(status);
    };
    if (remove) {
      std::vector<std::string> ids;
      for (const auto& [id, none] : operation.changes) ids.push_back(id);
      collection->remove(std::move(ids), [answer](const Result<storage::DeleteReply>& r) { answer(r.status()); });
    } else {
      const auto& [id, version] = *operation.changes.begin();
      collection->add({.id = id, .vector = vector_of(*version), .attributes = attributes_of(*version)},
                      [answer](const Result<storage::AddReply>& r) { answer(r.status()); });
    }
  }
  const Status answered = answers.wait();
  return answered.ok() ? interlude : answered;
}

// A line each: "collection NAME CREATED DROP_SENT ACKNOWLEDGED"; "operation"; "id VERSION", 0 for a delete; "snapshot TAG".
std::string to_text(const Oracle& oracle) {
  std::ostringstream out;
  for (const std::string& tag : oracle.snapshots) out << "snapshot " << tag << '\n';
  for (const auto& [name, history] : oracle.collections) {
    out << "collection " << name << ' ' << history.created << ' ' << history.drop_sent << ' ' << history.acknowledged
        << '\n';
    for (const History::Operation& operation : history.operations) {
      out << "operation\n";
      for (const auto& [id, version] : operation.changes) out << id << ' ' << version.value_or(0) << '\n';
    }
  }
  return out.str();
}

Oracle oracle_from(const std::string& text) {
  Oracle oracle;
  History* history = nullptr;
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    if (word == "snapshot") {
      in >> word;
      oracle.snapshots.insert(word);
    } else if (word == "collection") {
      in >> word;
      history = &oracle.collections[word];
      in >> history->created >> history->drop_sent >> history->acknowledged;
    } else if (word == "operation") {
      history->operations.emplace_back();
    } else {
      int version = 0;
      in >> version;
      history->operations.back().changes[word] = version == 0 ? std::nullopt : std::optional(version);
    }
  }
  return oracle;
}

std::string work_directory() {
  namespace fs = std::filesystem;
  std::string pattern = (fs::is_directory("/dev/shm") ? std::string("/dev/shm") : fs::temp_directory_path().string()) +
                        "/vsd-crash-XXXXXX";
  VS_CHECK(::mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

storage::DatabaseOptions database_options(const std::string& directory, SimulatedDisk& disk,
                                          storage::Durability durability, unsigned threads) {
  storage::DatabaseOptions options;
  options.directory = directory;
  options.durability = durability;
  options.threads = threads;
  options.free_space_reserve_bytes = 0;
  options.trimmed_at_once = 2;
  options.file_system = &disk.files();
  options.store_env = disk.env();
  return options;
}

Verdict verify(Database& database, const Oracle& oracle, bool exact) {
  Verdict verdict;
  const auto failed = [&](const std::string& name, const std::string& problem) {
    verdict.problem = "collection " + name + ": " + problem;
    return verdict;
  };
  const auto snapshots = database.snapshots();
  if (!snapshots.ok()) return failed("(all)", snapshots.status().to_string());
  std::set<std::string> acknowledged = oracle.snapshots;
  for (const storage::SnapshotEntry& snapshot : *snapshots) {
    acknowledged.erase(snapshot.tag);
    storage::Progress progress;
    const auto whole = storage::verify_snapshot(storage::posix_file_system(), snapshot.path, progress);
    if (!whole.ok()) return failed("(all)", "a half snapshot has a tag: " + whole.status().to_string());
  }
  if (!acknowledged.empty()) return failed("(all)", "the snapshot " + *acknowledged.begin() + " is gone");
  for (const std::string& name : database.names()) {
    if (!oracle.collections.contains(name)) return failed(name, "nobody has it any more");
  }
  for (const auto& [name, history] : oracle.collections) {
    const auto collection = database.find(name);
    if (!collection.ok()) {
      if (collection.status().code() != Code::kNotFound) return failed(name, collection.status().to_string());
      if (history.created && !history.drop_sent) return failed(name, "it was created, and is gone");
      continue;
    }
    if (std::string problem = compare(**collection, history, exact); !problem.empty()) return failed(name, problem);
    if (std::string problem = check(database, name); !problem.empty()) return failed(name, problem);
    State state;
    if (std::string problem = read_all(**collection, state); !problem.empty()) return failed(name, problem);
    for (const auto& [id, version] : state) {
      const auto reply = (*collection)->search({.vector = vector_of(version), .k = 3, .ef = 40});
      if (!reply.ok()) return failed(name, "a search failed: " + reply.status().to_string());
      // By the inner product another point may well be nearer.
      if ((*collection)->config().metric == Metric::kDot) continue;
      ++verdict.searched;
      if (reply->matches.empty() || reply->matches[0].point.id != id) ++verdict.missed;
    }
  }
  return verdict;
}

}  // namespace vs::crash
