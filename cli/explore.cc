#include "cli/explore.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "cli/interrupt.h"
#include "cli/points.h"
#include "cli/progress.h"

namespace vs::cli {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::ordered_json;

// Requests without a reply: enough to keep all threads of the daemon busy, well below its limit.
constexpr size_t kWindow = 256;
static_assert(kWindow < limits::kRequestsInFlight);

Status stopped() { return {Code::kShuttingDown, "stopped"}; }

// Sends request(0) … request(count - 1) over one connection and hands each reply to `take`, errors, too, in this order.
Status pipeline(Client& client, size_t count, Progress& progress, const std::function<std::string(size_t)>& request,
                const std::function<Status(const protocol::Reply&)>& take) {
  size_t sent = 0;
  for (size_t received = 0; received < count; ++received) {
    if (Interrupt::requested()) return stopped();
    for (; sent < std::min(received + kWindow, count); ++sent) VS_RETURN_IF_ERROR(client.post(request(sent) + '\n'));
    bool ready = false;
    while (!ready && !Interrupt::requested()) {
      VS_ASSIGN_OR_RETURN(ready, client.wait_for_reply(Clock::now() + std::chrono::milliseconds(100)));
    }
    if (!ready) return stopped();
    VS_ASSIGN_OR_RETURN(const protocol::Reply reply, client.receive());
    VS_RETURN_IF_ERROR(take(reply));
    progress.advance(1);
  }
  return {};
}

// The ids of `wanted` points, by reservoir sampling over all of them.
Result<std::vector<std::string>> sample_ids(Client& client, const std::string& collection, uint64_t wanted,
                                            uint64_t live) {
  Progress progress("choosing points", "points", live);
  std::mt19937_64 random{1};  // the same sample of the same points again
  std::vector<std::string> ids;
  uint64_t seen = 0;
  for (std::string cursor;;) {
    if (Interrupt::requested()) return stopped();
    const std::string from = cursor.empty() ? "" : " cursor=" + cursor;
    VS_ASSIGN_OR_RETURN(const protocol::Reply reply,
                        client.call("SCAN " + collection + " limit=" + std::to_string(limits::kScanLimitMax) + from));
    VS_RETURN_IF_ERROR(reply.status);
    VS_ASSIGN_OR_RETURN(PointsReply page, parse_points(reply.json));
    for (PointData& point : page.points) {
      if (seen++ < wanted) {
        ids.push_back(std::move(point.id));
      } else if (const uint64_t place = std::uniform_int_distribution<uint64_t>(0, seen - 1)(random); place < wanted) {
        ids[place] = std::move(point.id);
      }
    }
    progress.advance(page.points.size());
    const ordered_json next = parse_json(page.rest).value("cursor", ordered_json());
    if (!next.is_string()) return ids;
    cursor = next.get<std::string>();
  }
}

Result<std::vector<std::string>> read_vectors(Client& client, const std::string& collection,
                                              const std::vector<std::string>& ids) {
  std::vector<std::string> vectors;
  Progress progress("reading points", "points", ids.size());
  const auto request = [&](size_t i) {
    return "GET " + collection + ' ' + protocol::quote_word(ids[i]) + " with=vector";
  };
  const auto take = [&](const protocol::Reply& reply) -> Status {
    if (reply.status.code() == Code::kNotFound) return {};  // deleted meanwhile
    VS_RETURN_IF_ERROR(reply.status);
    VS_ASSIGN_OR_RETURN(const PointData point, parse_point(reply.json));
    vectors.push_back(protocol::encode_vector(point.vector));
    return {};
  };
  VS_RETURN_IF_ERROR(pipeline(client, ids.size(), progress, request, take));
  return vectors;
}

Status call(Client& client, const std::string& request) {
  VS_ASSIGN_OR_RETURN(const protocol::Reply reply, client.call(request));
  return reply.status;
}

Result<double> bytes_per_point(Client& client, const std::string& collection, size_t points) {
  VS_ASSIGN_OR_RETURN(const protocol::Reply reply, client.call("STATS " + collection));
  VS_RETURN_IF_ERROR(reply.status);
  double bytes = 0;
  const ordered_json files = parse_json(reply.json).value("bytes", ordered_json::object());
  for (const auto& [file, size] : files.items()) bytes += size.is_number() ? size.get<double>() : 0;
  return bytes / static_cast<double>(points);
}

}  // namespace

std::optional<std::vector<std::string>> sample_points(Context& context, const std::string& collection, uint64_t wanted,
                                                      Exit& exit) {
  const auto stats = context.call("STATS " + collection);
  if (!stats) {
    exit = context.exit();
    return std::nullopt;
  }
  const ordered_json live = parse_json(*stats).value("live", ordered_json());
  const auto sample = [&]() -> Result<std::vector<std::string>> {
    VS_ASSIGN_OR_RETURN(Client client, Client::connect(context.settings));
    VS_ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                        sample_ids(client, collection, wanted, live.is_number_unsigned() ? live.get<uint64_t>() : 0));
    return read_vectors(client, collection, ids);
  };
  auto vectors = sample();
  if (vectors.ok()) return *std::move(vectors);
  exit = context.fail_connection(vectors.status());
  return std::nullopt;
}

Result<std::vector<ExploredGraph>> explore_graphs(const Settings& settings, const std::string& create,
                                                  const std::vector<std::string>& points,
                                                  const std::vector<GraphParameters>& parameters,
                                                  const TuneTask& task) {
  const std::string name = "sample";
  TuneTask on_sample{name, task.queries, task.k, task.target, task.connections};
  VS_ASSIGN_OR_RETURN(Client client, Client::connect(settings));
  std::vector<ExploredGraph> explored;
  std::optional<Answers> truth;
  for (const GraphParameters& graph : parameters) {
    const std::string m = std::to_string(graph.m);
    const std::string ef_construction = std::to_string(graph.ef_construction);
    VS_RETURN_IF_ERROR(
        call(client, "CREATE " + name + create + " seed=1 m=" + m + " ef_construction=" + ef_construction));
    ExploredGraph& result = explored.emplace_back();
    result.parameters = graph;
    {
      Progress progress("building M=" + m + " ef_construction=" + ef_construction, "points", points.size());
      const auto start = Clock::now();
      VS_RETURN_IF_ERROR(pipeline(
          client, points.size(), progress,
          [&](size_t i) { return "ADD " + name + ' ' + std::to_string(i) + ' ' + points[i]; },
          [](const protocol::Reply& reply) { return reply.status; }));
      result.build_s = std::chrono::duration<double>(Clock::now() - start).count();
    }
    VS_ASSIGN_OR_RETURN(result.bytes_per_point, bytes_per_point(client, name, points.size()));
    bool lost = false;
    if (!truth) {
      VS_ASSIGN_OR_RETURN(truth, find_truth(settings, on_sample, lost));
    }
    VS_ASSIGN_OR_RETURN(result.tuning, tune_ef(settings, on_sample, *truth, lost));
    VS_RETURN_IF_ERROR(call(client, "DROP " + name));
  }
  return explored;
}

}  // namespace vs::cli
