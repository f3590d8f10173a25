#include "daemon/offline_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "storage/check.h"

namespace vs::daemon {
namespace {

// A detail may quote what stands in a damaged file; a terminal must not obey it.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
  return text;
}

std::string describe(const std::string& name, const storage::CheckReport& report) {
  std::string out = name + ": ";
  if (report.clean()) {
    out += "clean";
  } else {
    out += fmt::format("{} problem{}", report.problems_left, report.problems_left == 1 ? "" : "s");
  }
  out += fmt::format(", {} points in {} slots", report.points, report.slots);
  if (report.recall) out += fmt::format(", recall {:.4f}", *report.recall);
  if (report.operations_to_replay > 0) {
    out += fmt::format(", {} operations that the next start replays", report.operations_to_replay);
  }
  out += '\n';
  for (const storage::Problem& problem : report.problems) {
    out += "  " + problem.kind + ": " + printable(problem.detail) + '\n';
  }
  if (report.problems_left > report.problems.size()) {
    out += fmt::format("  and {} more\n", report.problems_left - report.problems.size());
  }
  return out;
}

}  // namespace

Result<bool> check_offline(const std::string& directory, bool deep) {
  storage::CheckOptions options;
  options.deep = deep;
  storage::Progress progress;
  bool clean = true;
  bool empty = true;
  const auto visit = [&](const std::string& name, const storage::CheckReport& report) {
    clean = clean && report.clean();
    empty = false;
    std::fputs(describe(name, report).c_str(), stdout);
    std::fflush(stdout);
  };
  VS_RETURN_IF_ERROR(storage::check_directory(directory, options, progress, visit));
  if (empty) std::fputs("no collections\n", stdout);
  return clean;
}

}  // namespace vs::daemon
