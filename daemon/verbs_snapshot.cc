// The verb about snapshots: makes, lists and deletes them.
#include <spdlog/spdlog.h>

#include <filesystem>

#include "daemon/reply.h"
#include "daemon/verbs.h"

namespace vs::daemon {
namespace {

// For programs that run elsewhere than the daemon does.
std::string absolute(const std::string& path) {
  std::error_code error;
  const auto full = std::filesystem::absolute(path, error);
  return error ? path : full.lexically_normal().string();
}

void write_manifest(std::string& out, JsonObject& object, const storage::Manifest& manifest) {
  object.text("time", manifest.time);
  object.integer("bytes", manifest.bytes());
  object.integer("files", manifest.files.size());
  object.integer("points", manifest.points());
  append_array(object.key("collections"), manifest.collections, [&](const storage::Manifest::Collection& collection) {
    JsonObject entry(out);
    entry.text("name", collection.name);
    entry.integer("points", collection.points);
    entry.integer("lsn", collection.lsn.value);
  });
}

void append_snapshot(std::string& out, const storage::SnapshotEntry& snapshot) {
  JsonObject object(out);
  object.text("tag", snapshot.tag);
  object.text("path", absolute(snapshot.path));
  if (snapshot.manifest.ok()) {
    write_manifest(out, object, *snapshot.manifest);
  } else {
    object.text("error", snapshot.manifest.status().to_string());
  }
}

Status list(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const auto snapshots, call.service.database.snapshots());
  JsonObject reply(json);
  append_array(reply.key("snapshots"), snapshots,
               [&](const storage::SnapshotEntry& snapshot) { append_snapshot(json, snapshot); });
  return {};
}

Status make(const Call& call, const std::string& tag, std::string& json) {
  storage::Database& database = call.service.database;
  // The job finds out, too; whoever asks would rather know at once.
  VS_ASSIGN_OR_RETURN(const auto snapshots, database.snapshots());
  for (const storage::SnapshotEntry& snapshot : snapshots) {
    if (snapshot.tag != tag) continue;
    return {Code::kExists, "there is a snapshot '" + tag + "' already; choose another tag, or delete it"};
  }
  const auto work = [&database, tag](storage::Progress& progress) -> Result<std::string> {
    VS_ASSIGN_OR_RETURN(const storage::Snapshot snapshot, database.make_snapshot(tag, progress));
    std::string result;
    append_snapshot(result, {tag, snapshot.path, snapshot.manifest});
    return result;
  };
  VS_ASSIGN_OR_RETURN(const uint64_t number, call.service.jobs.submit("snapshot", "", work));
  JsonObject(json).integer("job", number);
  return {};
}

}  // namespace

Status run_snapshot(const Call& call, std::string& json) {
  bool remove = false;
  VS_RETURN_IF_ERROR(call.read_flag("delete", remove));
  if (call.request.arguments.empty()) {
    if (remove)
      return {Code::kBadArgument, "delete= needs the tag of the snapshot to delete: SNAPSHOT tag delete=true"};
    return list(call, json);
  }
  VS_ASSIGN_OR_RETURN(const std::string tag, protocol::read_word(call.request.arguments[0], "the tag"));
  VS_RETURN_IF_ERROR(storage::validate_tag(tag));
  if (!remove) return make(call, tag, json);
  VS_RETURN_IF_ERROR(call.service.database.remove_snapshot(tag));
  spdlog::info("snapshot_deleted tag={}", tag);
  JsonObject(json).text("deleted", tag);
  return {};
}

}  // namespace vs::daemon
