// What every command needs: the settings, a connection made on first use, printing, and reporting of errors.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cli/client.h"
#include "cli/exit.h"
#include "cli/settings.h"
#include "cli/table.h"

namespace vs::cli {

class Context {
 public:
  Settings settings;
  std::function<Exit()> action;  // what the command line asked for

  Format format() const { return settings.output; }

  // Prints an error to stderr and returns the exit code for it.
  Exit fail(const Status& status) const;
  // Likewise for errors of Client's functions, where kIoError means that the daemon cannot be reached.
  Exit fail_connection(const Status& status) const;

  // Sends one request and returns the JSON of its OK reply. On an error prints it and returns nullopt; exit() has the
  // code.
  std::optional<std::string> call(const std::string& request);
  // Likewise, but an error that the daemon answered is returned, not printed; nullopt means the connection failed.
  std::optional<Result<std::string>> try_call(const std::string& request);
  Exit exit() const { return exit_; }

  // Data, to stdout.
  void print(std::string_view text) const;
  void print(const Table& table, std::string_view json) const;
  // A JSON object as two columns; nested names are joined by dots.
  void print_fields(std::string_view json) const;
  // A message, to stderr; printable().
  void note(const std::string& text) const;

 private:
  std::optional<Client> client_;
  Exit exit_ = Exit::kOk;
};

// Rows of two columns for each value that is no object; empty if `object` is none.
Table fields_table(const nlohmann::ordered_json& object, bool short_numbers);
// Text for a cell: strings without quotes, numbers with up to 4 decimals if `short_numbers`, other values as JSON.
std::string cell_text(const nlohmann::ordered_json& value, bool short_numbers);
// Never throws; a discarded value for text that is no JSON.
nlohmann::ordered_json parse_json(std::string_view text);

}  // namespace vs::cli
