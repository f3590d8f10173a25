#include "cli/context.h"

#include <cmath>
#include <cstdio>

namespace vs::cli {

using nlohmann::ordered_json;

nlohmann::ordered_json parse_json(std::string_view text) {
  return ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
}

Exit Context::fail(const Status& status) const {
  note(status.message());
  if (status.code() == Code::kUnauthorized && settings.token_file.empty())
    note("give the file that holds the daemon's token: --token-file FILE");
  return exit_for(status);
}

Exit Context::fail_connection(const Status& status) const {
  if (status.code() != Code::kIoError) return fail(status);
  note(status.message() + "; is vsd running? try `vsd --data-dir DIR`, or name another address with " +
       "--server HOST:PORT or --socket PATH");
  return Exit::kUnreachable;
}

std::optional<Result<std::string>> Context::try_call(const std::string& request) {
  if (!client_) {
    auto client = Client::connect(settings);
    if (!client.ok()) {
      exit_ = fail_connection(client.status());
      return std::nullopt;
    }
    client_ = *std::move(client);
  }
  const auto reply = client_->call(request);
  if (!reply.ok()) {
    exit_ = fail_connection(reply.status());
    return std::nullopt;
  }
  if (!reply->status.ok()) return Result<std::string>(reply->status);
  return Result<std::string>(std::string(reply->json));
}

std::optional<std::string> Context::call(const std::string& request) {
  auto reply = try_call(request);
  if (!reply) return std::nullopt;
  if (!reply->ok()) {
    exit_ = fail(reply->status());
    return std::nullopt;
  }
  return **std::move(reply);
}

void Context::print(std::string_view text) const { std::fwrite(text.data(), 1, text.size(), stdout); }

void Context::print(const Table& table, std::string_view json) const {
  switch (format()) {
    case Format::kTable:
      return print(table.text());
    case Format::kCsv:
      return print(table.csv());
    case Format::kJson:
      print(json);
      return print("\n");
  }
}

void Context::print_fields(std::string_view json) const {
  print(fields_table(parse_json(json), format() == Format::kTable), json);
}

void Context::note(const std::string& text) const { std::fprintf(stderr, "vsctl: %s\n", printable(text).c_str()); }

std::string cell_text(const ordered_json& value, bool short_numbers) {
  constexpr auto kReplace = ordered_json::error_handler_t::replace;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "";
  if (value.is_number_float() && short_numbers) {
    const double number = value.get<double>();
    if (std::abs(number) < 1e9) return fixed(number, 4);
  }
  return value.dump(-1, ' ', false, kReplace);
}

namespace {

void add_fields(Table& table, const std::string& prefix, const ordered_json& object, bool short_numbers) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object())
      add_fields(table, prefix + name + ".", value, short_numbers);
    else
      table.add({prefix + name, cell_text(value, short_numbers)});
  }
}

}  // namespace

Table fields_table(const ordered_json& object, bool short_numbers) {
  Table table({{"field", false}, {"value", false}}, /*header=*/false);
  if (object.is_object()) add_fields(table, "", object, short_numbers);
  return table;
}

}  // namespace vs::cli
