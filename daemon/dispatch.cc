#include "daemon/dispatch.h"

#include <algorithm>

#include "daemon/text.h"
#include "daemon/verbs.h"

namespace vs::daemon {
namespace {

constexpr size_t kAnyNumber = static_cast<size_t>(-1);

const Command kCommands[] = {
    {.verb = "PING",
     .usage = "PING",
     .help = "Answers OK.",
     .arguments_min = 0,
     .arguments_max = 0,
     .options = {},
     .run = run_ping,
     .open = true},
    {.verb = "HELP",
     .usage = "HELP [verb]",
     .help = "Lists all verbs, or explains one.",
     .arguments_min = 0,
     .arguments_max = 1,
     .options = {},
     .run = run_help,
     .open = true},
    {.verb = "AUTH",
     .usage = "AUTH token",
     .help = "Shows the token that TCP clients need when the server has one.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {},
     .run = run_auth,
     .open = true},
    {.verb = "QUIT",
     .usage = "QUIT",
     .help = "Answers OK and closes the connection.",
     .arguments_min = 0,
     .arguments_max = 0,
     .options = {},
     .run = run_quit,
     .open = true},
    {.verb = "INFO",
     .usage = "INFO",
     .help = "Version, uptime and counters of the server.",
     .arguments_min = 0,
     .arguments_max = 0,
     .options = {},
     .run = run_info},
    {.verb = "LIST",
     .usage = "LIST",
     .help = "All collections.",
     .arguments_min = 0,
     .arguments_max = 0,
     .options = {},
     .run = run_list},
    {.verb = "CREATE",
     .usage =
         "CREATE name dim=784 [metric=l2|cosine|dot] [m=16] [ef_construction=200] [ml=0.36] [ef_search=64] [seed=1] "
         "[codes=none|sq8|pca]",
     .help = "Makes an empty collection and replies its configuration.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {"dim", "metric", "m", "ef_construction", "ml", "ef_search", "seed", "codes"},
     .slow = run_create},
    {.verb = "DROP",
     .usage = "DROP name",
     .help = "Deletes a collection with all its points.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {},
     .slow = run_drop},
    {.verb = "ALTER",
     .usage = "ALTER name ef_search=64",
     .help =
         "Changes the ef of searches that name none, and replies the collection's configuration. What needs another "
         "graph is for REBUILD.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {"ef_search"},
     .slow = run_alter},
    {.verb = "STATS",
     .usage = "STATS name",
     .help = "Configuration, counts and file sizes of a collection.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {},
     .run = run_stats},
    {.verb = "ADD",
     .usage = "ADD name id vector [attributes] [if=absent|present]",
     .help =
         "Adds a point or replaces it. The vector is [0.5,1,...] or f32:BASE64, attributes are a JSON object. Answered "
         "when it is durable and found by searches.",
     .arguments_min = 3,
     .arguments_max = 4,
     .options = {"if"},
     .start = start_add},
    {.verb = "GET",
     .usage = "GET name id [with=vector]",
     .help = "A point's attributes and, if asked, its vector.",
     .arguments_min = 2,
     .arguments_max = 2,
     .options = {"with"},
     .run = run_get},
    {.verb = "DEL",
     .usage = "DEL name id...",
     .help = "Deletes points, all at once.",
     .arguments_min = 2,
     .arguments_max = kAnyNumber,
     .options = {},
     .start = start_del},
    {.verb = "SEARCH",
     .usage =
         "SEARCH name vector|id=ID [k=10] [ef=64] [exact=true] [radius=1.5] [with=attributes,vector] [explain=true]",
     .help = "The k nearest points, nearest first; id= asks by the vector of a point, which is left out.",
     .arguments_min = 1,
     .arguments_max = 2,
     .options = {"id", "k", "ef", "exact", "radius", "with", "explain"},
     .run = run_search,
     .heavy = is_heavy_search},
    {.verb = "SCAN",
     .usage = "SCAN name [cursor=CURSOR] [limit=100] [with=vector,attributes,links]",
     .help = "One page of all points; the reply's cursor asks for the next one and is null at the end.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {"cursor", "limit", "with"},
     .run = run_scan,
     .heavy = is_heavy_scan},
    {.verb = "REBUILD",
     .usage = "REBUILD name [m=16] [ef_construction=200] [ml=0.36] [codes=none|sq8|pca]",
     .help =
         "Starts a job that builds a collection's graph anew, without deleted points, with the same or other options; "
         "reads and writes go on.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {"m", "ef_construction", "ml", "codes"},
     .run = run_rebuild},
    {.verb = "COMPACT",
     .usage = "COMPACT name",
     .help = "Starts a job that frees the space of deleted and replaced points: a rebuild with the same options.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {},
     .run = run_compact},
    {.verb = "CHECK",
     .usage = "CHECK name [deep=true] [repair=true]",
     .help = "Starts a job that compares a collection's files with RocksDB; deep= also reads all vectors and measures "
             "recall, repair= mends what is found. JOBS shows the result.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {"deep", "repair"},
     .run = run_check},
    {.verb = "JOBS",
     .usage = "JOBS [n]",
     .help = "The jobs that run, wait or have ended, with their results; or one of them.",
     .arguments_min = 0,
     .arguments_max = 1,
     .options = {},
     .run = run_jobs},
    {.verb = "CANCEL",
     .usage = "CANCEL n",
     .help = "Cancels a job that has not ended, and shows it.",
     .arguments_min = 1,
     .arguments_max = 1,
     .options = {},
     .run = run_cancel},
    {.verb = "CHECKPOINT",
     .usage = "CHECKPOINT",
     .help = "Brings all mapped files to disk, so that a restart has nothing to replay.",
     .arguments_min = 0,
     .arguments_max = 0,
     .options = {},
     .slow = run_checkpoint},
    {.verb = "SNAPSHOT",
     .usage = "SNAPSHOT [tag] [delete=true]",
     .help = "Starts a job that makes a snapshot of all collections, for vsd --restore; delete= deletes it instead. "
             "Without a tag: lists the snapshots.",
     .arguments_min = 0,
     .arguments_max = 1,
     .options = {"delete"},
     .slow = run_snapshot},
    {.verb = "SHUTDOWN",
     .usage = "SHUTDOWN",
     .help = "Stops the server cleanly. On the Unix socket only.",
     .arguments_min = 0,
     .arguments_max = 0,
     .options = {},
     .run = run_shutdown},
};

Status check_shape(const Command& command, const protocol::Request& request) {
  const auto usage = [&] { return ". Usage: " + std::string(command.usage); };
  const size_t count = request.arguments.size();
  if (count < command.arguments_min || count > command.arguments_max) {
    std::string expected = std::to_string(command.arguments_min);
    if (command.arguments_max == kAnyNumber) {
      expected += " or more";
    } else if (command.arguments_max > command.arguments_min) {
      expected += " to " + std::to_string(command.arguments_max);
    }
    return {Code::kBadArgument,
            std::string(command.verb) + " takes " + expected + " arguments, got " + std::to_string(count) + usage()};
  }
  for (const protocol::Option& option : request.options) {
    if (std::find(command.options.begin(), command.options.end(), option.name) != command.options.end()) continue;
    const std::string allowed = command.options.empty() ? "it takes none" : "it takes " + join(command.options);
    return {Code::kBadArgument, std::string(command.verb) + " has no option " + excerpt(option.name) + "; " + allowed +
                                    " (a word with '=' in it that is no option must be quoted)" + usage()};
  }
  return {};
}

}  // namespace

const protocol::Value* Call::option(std::string_view name) const {
  for (const protocol::Option& option : request.options) {
    if (option.name == name) return &option.value;
  }
  return nullptr;
}

Status Call::read_flag(std::string_view name, bool& flag) const {
  const protocol::Value* const value = option(name);
  if (value == nullptr) return {};
  VS_ASSIGN_OR_RETURN(flag, protocol::read_bool(*value, name));
  return {};
}

Result<std::shared_ptr<storage::Collection>> Call::collection(size_t index) const {
  VS_ASSIGN_OR_RETURN(const std::string name, protocol::read_word(request.arguments[index], "the collection's name"));
  VS_RETURN_IF_ERROR(protocol::validate_collection_name(name));
  return service.database.find(name);
}

std::span<const Command> commands() { return kCommands; }

const Command* find_command(std::string_view verb) {
  for (const Command& command : kCommands) {
    if (command.verb == verb) return &command;
  }
  return nullptr;
}

Status unknown_verb(std::string_view verb) {
  std::vector<std::string_view> verbs;
  for (const Command& command : kCommands) verbs.push_back(command.verb);
  const std::string_view near = nearest(verb, verbs);
  return {Code::kUnknownCommand, "there is no verb " + excerpt(verb) + "; HELP lists all" +
                                     (near.empty() ? "" : ", did you mean " + std::string(near) + "?")};
}

Result<const Command*> admit(const Service& service, const Client& client, const protocol::Request& request) {
  const Command* const command = find_command(request.verb);
  if (!client.authorized && (command == nullptr || !command->open)) {
    return Status(Code::kUnauthorized, "this server asks for a token: send AUTH token first");
  }
  if (command == nullptr) return unknown_verb(request.verb);
  if (service.shutting_down.load(std::memory_order_relaxed) && !command->open) {
    return Status(Code::kShuttingDown, "the server is shutting down; connect again when it is back");
  }
  VS_RETURN_IF_ERROR(check_shape(*command, request));
  return command;
}

void append_reply(std::string& out, const Status& status, std::string_view json) {
  if (!status.ok()) {
    out += protocol::error_line(status);
  } else {
    out += "OK";
    if (!json.empty()) {
      out += ' ';
      out += json;
    }
  }
  out += '\n';
}

}  // namespace vs::daemon
