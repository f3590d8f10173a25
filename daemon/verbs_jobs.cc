// Verbs that start background jobs, and those about jobs.
#include <spdlog/spdlog.h>

#include "daemon/reply.h"
#include "daemon/verbs.h"

namespace vs::daemon {
namespace {

void append_optional(std::string& out, const std::optional<double>& number) {
  if (number) {
    protocol::append_number(out, *number);
  } else {
    out += "null";
  }
}

void append_job(std::string& out, const JobView& job) {
  JsonObject object(out);
  object.integer("job", job.number);
  object.text("kind", job.kind);
  object.text("collection", job.collection);
  object.text("state", job_state_name(job.state));
  object.real("percent", job.percent);
  append_optional(object.key("rate"), job.rate);
  append_optional(object.key("eta_s"), job.eta_s);
  object.key("result") += job.result;
}

void append_jobs(std::string& out, const std::vector<JobView>& jobs) {
  JsonObject reply(out);
  append_array(reply.key("jobs"), jobs, [&](const JobView& job) { append_job(out, job); });
}

void append_check(std::string& out, const storage::CheckReport& report) {
  JsonObject result(out);
  result.flag("clean", report.clean());
  append_array(result.key("problems"), report.problems, [&](const storage::Problem& problem) {
    JsonObject object(out);
    object.text("kind", problem.kind);
    object.text("detail", problem.detail);
  });
  result.integer("repaired", report.repaired);
  result.integer("problems_found", report.problems_found);
  result.integer("problems_left", report.problems_left);
  result.flag("rebuilt", report.rebuilt);
  result.integer("points", report.points);
  result.integer("slots", report.slots);
  append_optional(result.key("recall"), report.recall);
}

void append_rebuild(std::string& out, const storage::RebuildReport& report) {
  JsonObject result(out);
  result.integer("generation", report.generation);
  result.integer("points", report.points);
  result.integer("deleted_slots", report.deleted_slots);
  result.integer("bytes_before", report.bytes_before);
  result.integer("bytes", report.bytes);
  result.real("stall_ms", report.stall_ms);
  write_config(result, report.config);
}

Result<uint64_t> start_rebuild(Service& service, const std::string& kind, const std::string& collection,
                               const storage::RebuildOptions& options) {
  storage::Database& database = service.database;
  const auto work = [&database, collection, options](storage::Progress& progress) -> Result<std::string> {
    VS_ASSIGN_OR_RETURN(const storage::RebuildReport report, database.rebuild(collection, options, progress));
    std::string result;
    append_rebuild(result, report);
    return result;
  };
  return service.jobs.submit(kind, collection, work);
}

Result<uint64_t> read_job_number(const Call& call) {
  return protocol::read_unsigned(call.request.arguments[0], "the number of a job", 1, UINT64_MAX);
}

}  // namespace

Result<uint64_t> start_compaction(Service& service, const std::string& collection) {
  return start_rebuild(service, "compact", collection, {});
}

Status run_rebuild(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const auto collection, call.collection());
  VS_ASSIGN_OR_RETURN(const storage::RebuildOptions options, read_graph_options(call));
  VS_ASSIGN_OR_RETURN(const uint64_t number, start_rebuild(call.service, "rebuild", collection->name(), options));
  JsonObject(json).integer("job", number);
  return {};
}

Status run_compact(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const auto collection, call.collection());
  VS_ASSIGN_OR_RETURN(const uint64_t number, start_compaction(call.service, collection->name()));
  JsonObject(json).integer("job", number);
  return {};
}

Status run_check(const Call& call, std::string& json) {
  storage::CheckOptions options;
  VS_RETURN_IF_ERROR(call.read_flag("deep", options.deep));
  VS_RETURN_IF_ERROR(call.read_flag("repair", options.repair));
  VS_ASSIGN_OR_RETURN(const std::string name, protocol::read_word(call.request.arguments[0], "the collection's name"));
  VS_RETURN_IF_ERROR(protocol::validate_collection_name(name));
  Status found = call.service.database.find(name).status();
  // One that could not be opened is checked, too: the report says why, and the repair may mend it.
  if (!found.ok() && found.code() != Code::kCorrupt) return found;

  storage::Database& database = call.service.database;
  const auto work = [&database, name, options](storage::Progress& progress) -> Result<std::string> {
    VS_ASSIGN_OR_RETURN(const storage::CheckReport report, database.check(name, options, progress));
    if (report.problems_found > 0) {
      spdlog::warn("check_found collection={} problems={} left={} repaired={} rebuilt={}", name, report.problems_found,
                   report.problems_left, report.repaired, report.rebuilt);
    }
    std::string result;
    append_check(result, report);
    return result;
  };
  VS_ASSIGN_OR_RETURN(const uint64_t number, call.service.jobs.submit("check", name, work));
  JsonObject(json).integer("job", number);
  return {};
}

Status run_jobs(const Call& call, std::string& json) {
  if (call.request.arguments.empty()) {
    append_jobs(json, call.service.jobs.list());
    return {};
  }
  VS_ASSIGN_OR_RETURN(const uint64_t number, read_job_number(call));
  VS_ASSIGN_OR_RETURN(const JobView job, call.service.jobs.find(number));
  append_jobs(json, {job});
  return {};
}

Status run_cancel(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const uint64_t number, read_job_number(call));
  VS_ASSIGN_OR_RETURN(const JobView job, call.service.jobs.cancel(number));
  append_jobs(json, {job});
  return {};
}

}  // namespace vs::daemon
