#include "cli/explain.h"

#include "cli/context.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

std::string text(const ordered_json& object, const char* name) {
  return cell_text(object.value(name, ordered_json()), false);
}

std::string counted(const std::string& number, const std::string& noun) {
  return number + " " + noun + (number == "1" ? "" : "s");
}

bool is_true(const ordered_json& object, const char* name) { return object.value(name, ordered_json()) == true; }

std::string how(const ordered_json& explain) {
  const std::string ef = "ef " + text(explain, "ef");
  if (is_true(explain, "fell_back")) return "all points compared, as the graph gave too few with " + ef;
  return is_true(explain, "exact") ? "all points compared" : "graph, " + ef;
}

// "1,230: 1,180 short codes, …"; kinds that do not occur are left out.
std::string distances(const ordered_json& explain) {
  std::string out = text(explain, "distances");
  const ordered_json from = explain.value("distances_from", ordered_json());
  if (!from.is_object()) return out;
  std::string kinds;
  for (const auto& [name, count] : from.items()) {
    if (count == 0) continue;
    kinds += (kinds.empty() ? "" : ", ") + cell_text(count, false) + " from " +
             (name == "short_codes" ? "short codes" : name);
  }
  return kinds.empty() ? out : out + ": " + kinds;
}

}  // namespace

Table explain_table(const ordered_json& explain) {
  Table table({{"field"}, {"value"}}, /*header=*/false);
  if (!explain.is_object()) return table;
  if (explain.contains("ef")) table.add({"search", how(explain)});
  const ordered_json hops = explain.value("hops", ordered_json());
  const bool graph = hops.is_array() && !hops.empty();
  // Without one on the way there is nothing to say of it.
  if (graph && explain.contains("entry_point")) {
    const std::string entry = text(explain, "entry_point");
    table.add({"entry point", entry.empty() ? "a deleted point" : entry});
  }
  if (graph)
    for (size_t layer = hops.size(); layer-- > 0;)
      table.add({"layer " + std::to_string(layer), counted(cell_text(hops[layer], false), "hop")});
  if (explain.contains("distances")) table.add({"distances", distances(explain)});
  if (explain.contains("time_us")) table.add({"time", text(explain, "time_us") + " µs"});
  return table;
}

}  // namespace vs::cli
