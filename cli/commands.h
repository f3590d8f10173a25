// The commands, in groups; each function adds its group's to the program's command line.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"

namespace vs::cli {

void add_collection_commands(CLI::App& app, Context& context);  // ping info list stats create alter drop checkpoint
void add_point_commands(CLI::App& app, Context& context);       // add get delete scan
void add_query_command(CLI::App& app, Context& context);
void add_why_not_command(CLI::App& app, Context& context);
void add_import_command(CLI::App& app, Context& context);
void add_export_command(CLI::App& app, Context& context);
void add_eval_command(CLI::App& app, Context& context);
void add_bench_command(CLI::App& app, Context& context);
void add_tune_command(CLI::App& app, Context& context);
void add_check_command(CLI::App& app, Context& context);
void add_rebuild_commands(CLI::App& app, Context& context);  // rebuild compact
void add_jobs_command(CLI::App& app, Context& context);
void add_snapshot_command(CLI::App& app, Context& context);

// NAME, required and checked.
CLI::Option* add_name(CLI::App& command, std::string& name);
CLI::Option* add_scale(CLI::App& command, std::string& scale);
// Makes `run` what the program does when the command is given.
void set_action(CLI::App& command, Context& context, std::function<Exit()> run);

// Whether there is a terminal to ask at; if not, says so, and that --yes is needed. `what` is about to be done.
bool can_ask(const Context& context, const std::string& what);
// Asks, and returns whether the answer is yes. REQUIRES: can_ask().
bool ask(const Context& context, const std::string& question);

// The settings of a new collection, as given.
struct CreateOptions {
  std::optional<std::string> metric;
  std::optional<uint64_t> m;
  std::optional<uint64_t> ef_construction;
  std::optional<std::string> ml;
  std::optional<uint64_t> ef_search;
  std::optional<uint64_t> seed;
  std::optional<std::string> codes;

  // {"metric", "l2"}, … with the names of the protocol.
  std::vector<std::pair<std::string, std::string>> given() const;
  // Likewise; what was not given is taken from `defaults`.
  std::vector<std::pair<std::string, std::string>> given_or(
      const std::vector<std::pair<std::string, std::string>>& defaults) const;
  // " metric=l2 m=16", to append to a CREATE request.
  std::string request_text(const std::vector<std::pair<std::string, std::string>>& defaults = {}) const;
};
void add_create_options(CLI::App& command, CreateOptions& options);

// A vector from the command line or from a file, or several rows of a file.
struct VectorOptions {
  std::string vector;
  std::string file;
  std::string rows = "0";
  std::string scale = "1";

  bool given() const { return !vector.empty() || !file.empty(); }
  // REQUIRES: they were checked by the command line.
  std::vector<uint64_t> row_numbers() const;
};
enum class RowsAllowed { kOne, kSeveral };
inline constexpr size_t kRowsMax = 1000;
void add_vector_options(CLI::App& command, VectorOptions& options, RowsAllowed rows = RowsAllowed::kOne);
// One vector for each row. Errors: kBadArgument, kBadRequest, kIoError.
Result<std::vector<std::vector<float>>> read_vectors(const VectorOptions& options);
// The only one.
Result<std::vector<float>> read_vector(const VectorOptions& options);

}  // namespace vs::cli
