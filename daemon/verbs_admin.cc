// Verbs about the server itself.
#include <openssl/crypto.h>
#include <unistd.h>

#include <cctype>
#include <chrono>
#include <fstream>

#include "daemon/reply.h"
#include "daemon/text.h"
#include "daemon/verbs.h"

namespace vs::daemon {
namespace {

// The second number of statm is the resident pages (proc(5)); 0 where there is no /proc.
uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

Status run_ping(const Call&, std::string&) { return {}; }

Status run_help(const Call& call, std::string& json) {
  std::string verb;
  if (!call.request.arguments.empty()) {
    VS_ASSIGN_OR_RETURN(verb, protocol::read_word(call.request.arguments[0], "the verb"));
    for (char& c : verb) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (find_command(verb) == nullptr) return unknown_verb(verb);
  }
  std::vector<const Command*> shown;
  for (const Command& command : commands()) {
    if (verb.empty() || command.verb == verb) shown.push_back(&command);
  }
  JsonObject reply(json);
  append_array(reply.key("commands"), shown, [&](const Command* command) {
    JsonObject object(json);
    object.text("verb", command->verb);
    object.text("usage", command->usage);
    object.text("help", command->help);
  });
  return {};
}

Status run_auth(const Call& call, std::string&) {
  VS_ASSIGN_OR_RETURN(const std::string given, protocol::read_word(call.request.arguments[0], "the token"));
  const std::string& token = call.service.token;
  // The time that this takes says nothing about where the first difference is; the length is no secret.
  const bool right = given.size() == token.size() && CRYPTO_memcmp(given.data(), token.data(), token.size()) == 0;
  if (!token.empty() && !right) {
    call.client.penalty = true;
    return {Code::kUnauthorized, "that is not this server's token; it stands in the file that vsd got as --token-file"};
  }
  call.client.authorized = true;
  return {};
}

Status run_quit(const Call& call, std::string&) {
  call.client.closing = true;
  return {};
}

Status run_info(const Call& call, std::string& json) {
  const Service& service = call.service;
  const auto uptime = std::chrono::steady_clock::now() - service.started;
  const std::vector<std::string> names = service.database.names();
  uint64_t points = 0;
  for (const std::string& name : names) {
    // One that could not be opened has no points to count; LIST says so.
    const auto collection = service.database.find(name);
    if (collection.ok()) points += (*collection)->stats().live;
  }
  const storage::DatabaseStats stats = service.database.stats();
  JsonObject info(json);
  info.text("version", VS_VERSION);
  info.integer("uptime_s", std::chrono::duration_cast<std::chrono::seconds>(uptime).count());
  info.integer("clients", service.clients.load(std::memory_order_relaxed));
  info.integer("collections", names.size());
  info.integer("points", points);
  info.integer("threads", service.threads);
  info.text("kernels", kernels().name);
  info.text("durability", storage::durability_name(service.durability));
  info.integer("pid", ::getpid());
  info.integer("commits", stats.commits);
  info.integer("operations", stats.operations);
  info.integer("syncs", stats.syncs);
  info.integer("checkpoints", stats.checkpoints);
  info.flag("no_space", stats.no_space);
  info.integer("free_space_reserve_bytes", stats.free_space_reserve_bytes);
  info.integer("requests", service.requests.load(std::memory_order_relaxed));
  info.integer("errors", service.errors.load(std::memory_order_relaxed));
  info.integer("rss_bytes", resident_bytes());
  return {};
}

Status run_checkpoint(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const Lsn lsn, call.service.database.checkpoint());
  JsonObject(json).integer("lsn", lsn.value);
  return {};
}

Status run_shutdown(const Call& call, std::string&) {
  if (!call.client.local) {
    return {Code::kUnauthorized,
            "SHUTDOWN is taken on the Unix socket only; use that (--socket), or send vsd a SIGTERM"};
  }
  call.service.shut_down();
  return {};
}

}  // namespace vs::daemon
