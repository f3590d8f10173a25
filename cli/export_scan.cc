#include "cli/export_scan.h"

#include <poll.h>

#include "cli/interrupt.h"
#include "cli/progress.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

std::optional<uint64_t> number(const ordered_json& stats, const char* name) {
  const auto value = stats.find(name);
  if (value == stats.end() || !value->is_number_unsigned()) return std::nullopt;
  return value->get<uint64_t>();
}

bool is_settled(const ordered_json& stats) {
  const auto lsn = number(stats, "lsn");
  return lsn && number(stats, "applied_lsn") == lsn;
}

}  // namespace

std::optional<ordered_json> settled_stats(Context& daemon, const std::string& name) {
  constexpr int kTries = 50;
  constexpr int kWaitMs = 10;
  for (int tries = 1;; ++tries) {
    const auto reply = daemon.call("STATS " + name);
    if (!reply) return std::nullopt;
    ordered_json stats = parse_json(*reply);
    if (!stats.is_object()) stats = ordered_json::object();
    if (is_settled(stats) || tries == kTries || Interrupt::requested()) return stats;
    ::poll(nullptr, 0, kWaitMs);
  }
}

Exit copy_points(Context& daemon, const ExportInfo& info, Exporter& exporter) {
  constexpr const char* kPage = " limit=500 with=";
  Progress progress("exporting", "points", number(info.stats, "live").value_or(0));
  for (ordered_json cursor;;) {
    std::string request = "SCAN " + info.name + kPage + exporter.with();
    if (!cursor.is_null()) request += " cursor=" + protocol::quote_word(cell_text(cursor, false));
    const auto reply = daemon.call(request);
    if (!reply) return daemon.exit();
    const auto page = parse_points(*reply, exporter.text());
    if (!page.ok()) return daemon.fail(page.status());
    if (const Status status = exporter.add(page->points); !status.ok()) return daemon.fail(status);
    progress.advance(page->points.size());
    if (Interrupt::requested()) return daemon.fail({Code::kShuttingDown, "stopped before the export was complete"});
    cursor = parse_json(page->rest).value("cursor", ordered_json());
    if (cursor.is_null()) return Exit::kOk;
  }
}

Consistency judge_consistency(const ordered_json& before, const ordered_json& after) {
  Consistency found;
  const auto first = number(before, "lsn");
  const auto last = number(after, "lsn");
  // A collection that was dropped and made again counts from the beginning; its seed is another one.
  const bool same = before.value("seed", ordered_json()) == after.value("seed", ordered_json());
  if (first && last && *last > *first) found.changes = *last - *first;
  found.consistent = is_settled(before) && first == last && same;
  return found;
}

}  // namespace vs::cli
