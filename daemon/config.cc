#include "daemon/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>

#include "daemon/option_table.h"
#include "daemon/text.h"

namespace vs::daemon {
namespace {

constexpr size_t kFileBytesMax = 1u << 20;
constexpr std::string_view kWhiteSpace = " \t\r\n";

Status bad(std::string message) { return {Code::kBadArgument, std::move(message)}; }

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) - begin + 1);
}

std::string environment_name(std::string_view key) {
  std::string name = "VSD_";
  for (const char c : key) name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

// Text of a small file. `private_only` refuses one that the group or others may read.
Result<std::string> read_small_file(const std::string& path, bool private_only) {
  const auto failed = [&] { return bad("cannot read " + path + ": " + std::strerror(errno)); };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return failed();
  struct Closer {
    int file;
    ~Closer() { ::close(file); }
  } const closer{file};
  struct stat status {};
  if (::fstat(file, &status) != 0) return failed();
  if (private_only && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return bad(path + " may be read by other users; run: chmod 600 " + path);
  }
  std::string text(kFileBytesMax + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed();
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  if (size > kFileBytesMax) return bad(path + " is larger than 1 MiB; is that the right file?");
  text.resize(size);
  return text;
}

std::vector<std::string_view> option_keys() {
  std::vector<std::string_view> keys;
  for (const OptionRule& rule : option_rules()) keys.push_back(rule.key);
  return keys;
}

std::string did_you_mean(std::string_view word, std::string_view prefix) {
  const std::string_view key = nearest(word, option_keys());
  if (key.empty()) return "";
  return "; did you mean " + std::string(prefix) + std::string(key) + "?";
}

// The settings so far, and how one more is laid over them.
class Layers {
 public:
  Layers() {
    for (const OptionRule& rule : option_rules()) {
      VS_CHECK(!rule.apply(config, rule.default_value));
      settings.push_back({rule.key, std::string(rule.default_value), "default"});
    }
  }

  // REQUIRES: `key` is one of the table's.
  Status apply(std::string_view key, std::string_view value, const std::string& origin) {
    // Of a path the system would take what stands before a NUL; and all values are printed and logged.
    if (std::any_of(value.begin(), value.end(),
                    [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7F; })) {
      return bad(origin + ": " + std::string(key) + " must have no control characters, got " + excerpt(value));
    }
    const auto rules = option_rules();
    for (size_t i = 0; i < rules.size(); ++i) {
      if (rules[i].key != key) continue;
      if (const auto expected = rules[i].apply(config, value)) {
        return bad(origin + ": " + std::string(key) + " must be " + *expected + ", got " + excerpt(value));
      }
      settings[i].value = value;
      settings[i].origin = origin;
    }
    return {};
  }

  Status apply_file(const std::string& path);

  Config config;
  std::vector<Setting> settings;
};

std::string_view without_comment(std::string_view line) {
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) return line.substr(0, i);
  }
  return line;
}

Status Layers::apply_file(const std::string& path) {
  VS_ASSIGN_OR_RETURN(const std::string text, read_small_file(path, false));
  const auto keys = option_keys();
  std::map<std::string_view, size_t> seen;
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    ++number;
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = trim(without_comment(std::string_view(text).substr(begin, end - begin)));
    begin = end + 1;
    if (line.empty()) continue;
    const std::string origin = path + ":" + std::to_string(number);
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return bad(origin + ": expected `key = value`, got " + excerpt(line));
    const std::string_view key = trim(line.substr(0, equals));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return bad(origin + ": unknown key " + excerpt(key) + did_you_mean(key, "") + " Valid keys: " + join(keys));
    }
    const auto [first, is_new] = seen.try_emplace(key, number);
    if (!is_new)
      return bad(origin + ": " + std::string(key) + " is set a second time, after line " +
                 std::to_string(first->second));
    VS_RETURN_IF_ERROR(apply(key, trim(line.substr(equals + 1)), origin));
  }
  return {};
}

constexpr std::string_view kFooter =
    R"(Flags go over environment variables (VSD_DATA_DIR, VSD_LISTEN, ...), these over the file of
--config (`key = value` lines, keys as the flags without dashes), that over the defaults.

Examples:
  vsd --data-dir /var/lib/vsd                       serve 127.0.0.1:8700
  vsd --data-dir d --listen 127.0.0.1:0             pick a free port and log it: ready listen=HOST:PORT
  vsd --data-dir d --socket d/vsd.sock              a Unix socket beside TCP
  vsd --config /etc/vsd.conf --check-config         show the settings and where each comes from
  vsd --check /var/lib/vsd --deep                   look for damage while no vsd uses the directory
  vsd --restore old/snapshots/monday --data-dir d   make a new data directory of a snapshot, and serve it
  printf 'PING\n' | nc -N 127.0.0.1 8700            speak to it

Exit codes: 0 fine, 1 failure, 2 usage, 5 corruption.)";

struct Flags {
  std::map<std::string_view, std::string> values;  // of the options in the table that were given
  std::string config_file;
  bool check_config = false;
  std::optional<std::string> check_directory;
  std::string restore;
  bool deep = false;
  std::optional<std::string> text;  // --help or --version
};

Result<Flags> parse_flags(const std::vector<std::string>& arguments) {
  Flags flags;
  std::map<std::string_view, std::string> values;
  std::map<std::string_view, CLI::Option*> options;
  bool version = false;
  CLI::App app("vsd, a persistent memory-mapped vector database", "vsd");
  try {
    app.footer(std::string(kFooter));
    app.allow_extras();
    app.add_option("--config", flags.config_file, "Configuration file")->type_name("FILE");
    for (const OptionRule& rule : option_rules()) {
      std::string help(rule.help);
      if (!rule.default_value.empty()) help += " [" + std::string(rule.default_value) + "]";
      options[rule.key] =
          app.add_option("--" + std::string(rule.key), values[rule.key], help)->type_name(std::string(rule.value_name));
    }
    CLI::Option* const restore_option =
        app.add_option("--restore", flags.restore,
                       "Make the data directory, which must be missing or empty, of this snapshot; then serve it")
            ->type_name("DIR");
    app.add_flag("--check-config", flags.check_config,
                 "Print the settings and the origin of each, then exit with 0 or 2");
    app.add_option("--check", flags.check_directory,
                   "Check the data directory of a vsd that does not run, change nothing, and exit with 0 or 5")
        ->type_name("DIR");
    app.add_flag("--deep", flags.deep, "With --check: read all vectors, too, and measure recall")->needs("--check");
    app.add_flag("--version", version, "Print the version and exit");
    // CLI11 takes the last argument first.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    if (const auto rest = app.remaining(); !rest.empty()) {
      const std::string& word = rest.front();
      const size_t name = std::min(word.find_first_not_of('-'), word.size());
      const size_t end = std::min(word.find('=', name), word.size());
      return bad("unknown argument " + excerpt(word) + did_you_mean(word.substr(name, end - name), "--") +
                 " `vsd --help` lists all");
    }
    if (restore_option->count() > 0 && flags.restore.empty()) {
      return bad("--restore must be the path of a snapshot, such as DATA_DIR/snapshots/TAG, got ''");
    }
  } catch (const CLI::CallForHelp&) {
    flags.text = app.help();
  } catch (const CLI::ParseError& error) {
    return bad(std::string(error.what()) + "; `vsd --help` lists all options");
  }
  for (const auto& [key, option] : options) {
    if (option->count() > 0) flags.values[key] = values[key];
  }
  if (version) flags.text = "vsd " VS_VERSION "\n";
  if (flags.check_directory) {
    if (flags.check_directory->empty()) return bad("--check must be the path of a data directory, got ''");
    if (flags.check_config || !flags.config_file.empty() || !flags.restore.empty() || !flags.values.empty()) {
      return bad("--check takes its directory and --deep only, got another option with it; leave that out");
    }
  }
  return flags;
}

// What no single option can check: the token and where it is needed.
Status finish(Config& config) {
  if (!config.token_file.empty()) {
    VS_ASSIGN_OR_RETURN(const std::string text, read_small_file(config.token_file, true));
    config.token = trim(text);
    if (config.token.empty() || config.token.find_first_of(kWhiteSpace) != std::string::npos) {
      return bad("token-file: " + config.token_file +
                 " must hold one word, such as what `openssl rand -hex 24` prints");
    }
  }
  const bool loopback = boost::asio::ip::make_address(config.listen_host).is_loopback();
  if (!loopback && config.token.empty()) {
    return bad("listen: " + config.listen_host +
               " may be reached from other machines, so a token-file is needed; "
               "listen on 127.0.0.1, or run: (umask 077; openssl rand -hex 24 > token) and add --token-file token");
  }
  return {};
}

}  // namespace

Result<Startup> load_config(const std::vector<std::string>& arguments, const Environment& environment) {
  VS_ASSIGN_OR_RETURN(Flags flags, parse_flags(arguments));
  Startup startup;
  if (flags.text) {
    startup.action = Startup::Action::kPrint;
    startup.text = *flags.text;
    return startup;
  }
  if (flags.check_directory) {
    startup.action = Startup::Action::kCheckDirectory;
    startup.directory = *flags.check_directory;
    startup.deep = flags.deep;
    return startup;
  }
  if (flags.check_config) startup.action = Startup::Action::kCheckConfig;

  Layers layers;
  if (flags.config_file.empty()) {
    if (const char* const path = environment("VSD_CONFIG")) flags.config_file = path;
  }
  if (!flags.config_file.empty()) VS_RETURN_IF_ERROR(layers.apply_file(flags.config_file));
  for (const std::string_view key : option_keys()) {
    const std::string name = environment_name(key);
    if (const char* const value = environment(name.c_str())) {
      VS_RETURN_IF_ERROR(layers.apply(key, value, "environment " + name));
    }
  }
  for (const auto& [key, value] : flags.values) {
    VS_RETURN_IF_ERROR(layers.apply(key, value, "flag --" + std::string(key)));
  }
  VS_RETURN_IF_ERROR(finish(layers.config));
  startup.restore = std::move(flags.restore);
  startup.config = std::move(layers.config);
  startup.settings = std::move(layers.settings);
  return startup;
}

std::string describe(const std::vector<Setting>& settings) {
  std::string out;
  for (const Setting& setting : settings) {
    // Behind a space a '#' would begin a comment.
    const std::string line = std::string(setting.key) + (setting.value.starts_with('#') ? " =" : " = ") + setting.value;
    out += line + std::string(line.size() < 44 ? 44 - line.size() : 1, ' ') + " # " + setting.origin + "\n";
  }
  return out;
}

}  // namespace vs::daemon
