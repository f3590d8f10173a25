// The command line, where CLI11 would read it in its own way.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "daemon/protocol.h"

namespace vs::cli {

// Where several values may stand, CLI11 takes one of the form [a,b] for the two values a and b, and nothing turns that
// off: `delete NAME '[a,b]'` would delete two other points. So every argument that could be taken so is hidden behind a
// control character before CLI11 sees it, and every option takes that away before it checks a value.

// The arguments after the program's name, in the order that App::parse wants: last one first.
std::vector<std::string> hide_brackets(int argc, const char* const* argv);
// For all commands and options that `app` has by now.
void reveal_brackets(CLI::App& app);
// For messages of CLI11 that quote an argument.
std::string reveal_brackets_in(std::string message);

// Decimal digits and nothing else: CLI11 would read 010 as 8 and -1 as 2^64-1.
CLI::Validator whole_number(uint64_t min, uint64_t max = UINT64_MAX);
// Whole numbers and ranges of them, "0,5,7-9", in the order given. Errors: kBadArgument (more than `most` numbers, too).
Result<std::vector<uint64_t>> number_list(const std::string& text, size_t most);
// A finite number as JSON has it; `above_zero` if it must be that.
CLI::Validator finite_number(bool above_zero = false);

}  // namespace vs::cli
