// The handlers of the verbs; dispatch.cc has the table.
#pragma once

#include "daemon/dispatch.h"

namespace vs::daemon {

// verbs_admin.cc
Status run_ping(const Call& call, std::string& json);
Status run_help(const Call& call, std::string& json);
Status run_auth(const Call& call, std::string& json);
Status run_quit(const Call& call, std::string& json);
Status run_info(const Call& call, std::string& json);
Status run_checkpoint(const Call& call, std::string& json);
Status run_shutdown(const Call& call, std::string& json);

// verbs_collections.cc
Status run_list(const Call& call, std::string& json);
Status run_create(const Call& call, std::string& json);
Status run_drop(const Call& call, std::string& json);
Status run_alter(const Call& call, std::string& json);
Status run_stats(const Call& call, std::string& json);
// The options of the graph that CREATE and REBUILD have in common. Errors: kBadArgument.
Result<storage::RebuildOptions> read_graph_options(const Call& call);

// verbs_jobs.cc
// Starts the job of COMPACT. Errors: kBusy, kShuttingDown.
Result<uint64_t> start_compaction(Service& service, const std::string& collection);
Status run_rebuild(const Call& call, std::string& json);
Status run_compact(const Call& call, std::string& json);
Status run_check(const Call& call, std::string& json);
Status run_jobs(const Call& call, std::string& json);
Status run_cancel(const Call& call, std::string& json);

// verbs_snapshot.cc
Status run_snapshot(const Call& call, std::string& json);

// verbs_points.cc
Status start_add(const Call& call, Done done);
Status start_del(const Call& call, Done done);
Status run_get(const Call& call, std::string& json);
Status run_search(const Call& call, std::string& json);
// Whether others should not wait for it in the same thread.
bool is_heavy_search(const Call& call);
bool is_heavy_scan(const Call& call);
Status run_scan(const Call& call, std::string& json);

// The status for a verb that is none, with the nearest one that is.
Status unknown_verb(std::string_view verb);

}  // namespace vs::daemon
