// Fuzzes the configuration files of vsd and vsctl.
#include "cli/settings.h"
#include "daemon/config.h"
#include "daemon/text.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {
namespace {

using daemon::Setting;
using daemon::Startup;

Result<Startup> load(std::string_view text) {
  const MemoryFile file(text);
  return daemon::load_config({"--config", file.path()}, [](const char*) -> const char* { return nullptr; });
}

bool same_value(const Setting& a, const Setting& b) { return a.key == b.key && a.value == b.value; }

void check_daemon(std::string_view text) {
  // The token file is opened; inputs that have the fuzzer open files all over the system are of no use.
  if (text.find("token-file") != std::string_view::npos && text.find_first_of("/.") != std::string_view::npos) return;
  const auto startup = load(text);
  if (!startup.ok()) {
    VS_CHECK(startup.status().code() == Code::kBadArgument);
    VS_CHECK(!has_control_characters(startup.status().message()) && startup.status().message().size() < 2000);
    return;
  }
  VS_CHECK(startup->action == Startup::Action::kServe);
  const daemon::Config& config = startup->config;
  VS_CHECK(!config.data_dir.empty() && !config.listen_host.empty() && config.threads <= 1024);
  VS_CHECK(config.socket.size() <= 107 && config.checkpoint_operations >= 1 && config.checkpoint_interval_s >= 1);
  for (const Setting& setting : startup->settings) VS_CHECK(!has_control_characters(setting.value));

  // --check-config prints a configuration file that gives the same settings.
  const std::string described = daemon::describe(startup->settings);
  const auto again = load(described);
  VS_CHECK(again.ok() && std::ranges::equal(again->settings, startup->settings, same_value));
}

void check_client(std::string_view text) {
  const auto layer = cli::parse_settings_file(text, "vsctl.conf");
  if (!layer.ok()) {
    VS_CHECK(layer.status().code() == Code::kBadArgument);
    VS_CHECK(layer.status().message().find('\n') == std::string::npos);
    return;
  }
  std::string again;
  const auto add = [&](const char* key, const std::optional<std::string>& value) {
    if (!value) return;
    VS_CHECK(value->find('\n') == std::string::npos && value->size() < text.size());
    again += std::string(key) + " = " + *value + "\n";
  };
  add("server", layer->server);
  add("socket", layer->socket);
  add("token-file", layer->token_file);
  add("output", layer->output);
  const auto parsed = cli::parse_settings_file(again, "vsctl.conf");
  VS_CHECK(parsed.ok() && parsed->server == layer->server && parsed->socket == layer->socket);
  VS_CHECK(parsed->token_file == layer->token_file && parsed->output == layer->output);
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs::fuzz;
  check_daemon(text_of(data, size));
  check_client(text_of(data, size));
  return 0;
}
