#include "cli/settings.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

namespace vs::cli {
namespace {

struct Key {
  std::string_view name;
  std::string_view variable;
  std::optional<std::string> Layer::*member;
};
constexpr std::array kKeys = {
    Key{"server", "VSCTL_SERVER", &Layer::server},
    Key{"socket", "VSCTL_SOCKET", &Layer::socket},
    Key{"token-file", "VSCTL_TOKEN_FILE", &Layer::token_file},
    Key{"output", "VSCTL_OUTPUT", &Layer::output},
};

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Result<Layer> read_file_layer(const Environment& environment) {
  const auto named = environment("VSCTL_CONFIG");
  std::string path;
  if (named) {
    path = *named;
  } else {
    const auto home = environment("HOME");
    std::error_code error;
    if (!home || !std::filesystem::exists(*home + "/.config/vsctl.conf", error)) return Layer{};
    path = *home + "/.config/vsctl.conf";
  }
  const auto text = read_text_file(path);
  if (!text.ok())
    return Status{Code::kBadArgument,
                  text.status().message() + "; mend the configuration file" +
                      (named ? " or VSCTL_CONFIG, which names it" : ", or name another one with VSCTL_CONFIG")};
  return parse_settings_file(*text, path);
}

Result<Format> parse_format(const std::string& text) {
  if (text == "table") return Format::kTable;
  if (text == "json") return Format::kJson;
  if (text == "csv") return Format::kCsv;
  return Status{Code::kBadArgument, "output must be table, json or csv; got '" + text + "'"};
}

}  // namespace

std::optional<std::string> process_environment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

Result<std::string> read_text_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  std::string text;
  std::array<char, 64u << 10> piece;
  while (file != nullptr) {
    const size_t got = std::fread(piece.data(), 1, piece.size(), file.get());
    text.append(piece.data(), got);
    if (got == piece.size()) continue;
    if (std::ferror(file.get()) == 0) return text;
    break;
  }
  return Status{Code::kIoError, "cannot read " + path + ": " + std::strerror(errno)};
}

Result<Layer> parse_settings_file(std::string_view text, const std::string& path) {
  Layer layer;
  size_t line_number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    if (line.empty() || line.front() == '#') continue;
    const size_t equals = line.find('=');
    const std::string_view name = trim(line.substr(0, equals));
    const Key* known = nullptr;
    for (const Key& key : kKeys)
      if (key.name == name) known = &key;
    if (equals == std::string_view::npos || known == nullptr)
      return Status{Code::kBadArgument, path + " line " + std::to_string(line_number) +
                                            ": expected `key = value` with one of server, socket, token-file, output; "
                                            "got '" +
                                            std::string(line) + "'"};
    layer.*(known->member) = std::string(trim(line.substr(equals + 1)));
  }
  return layer;
}

Result<Settings> resolve_settings(const Layer& flags, const Environment& environment) {
  Layer from_environment;
  for (const Key& key : kKeys) from_environment.*(key.member) = environment(key.variable);
  VS_ASSIGN_OR_RETURN(const Layer from_file, read_file_layer(environment));

  Settings settings;
  bool has_address = false;
  bool has_token = false;
  bool has_output = false;
  for (const Layer* layer : std::array<const Layer*, 3>{&flags, &from_environment, &from_file}) {
    if (layer->server && layer->socket && !has_address)
      return Status{Code::kBadArgument, "a server and a socket are both given ('" + *layer->server + "' and '" +
                                            *layer->socket + "'); give one of them"};
    if (!has_address && (layer->server || layer->socket)) {
      has_address = true;
      if (layer->server) settings.server = *layer->server;
      if (layer->socket) settings.socket = *layer->socket;
    }
    if (!has_token && layer->token_file) {
      has_token = true;
      settings.token_file = *layer->token_file;
    }
    if (!has_output && layer->output) {
      has_output = true;
      VS_ASSIGN_OR_RETURN(settings.output, parse_format(*layer->output));
    }
  }
  return settings;
}

}  // namespace vs::cli
