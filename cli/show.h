// Small images in the terminal: two pixels a character with 24-bit colour, or shades of ASCII where colour is not
// wanted.
#pragma once

#include <string>

#include "cli/gallery.h"

namespace vs::cli {

struct ShowOptions {
  bool colour = false;
  int columns = 80;  // of the terminal
};
// Colour if the file descriptor is a terminal, unless NO_COLOR is set or TERM is dumb or missing.
ShowOptions show_options(int file);

// As many images side by side as fit, with id, label and distance below; each query begins a line. An image that is
// wider than the terminal is made smaller. Lines end with LF.
std::string show_gallery(const Gallery& gallery, const ShowOptions& options);

}  // namespace vs::cli
