// The page of a gallery. It may be mailed or kept for years: everything is in the one file, there is no script, and a
// policy in its head keeps a browser from loading anything even if an id or label had slipped through unescaped.
#include <openssl/evp.h>

#include "cli/gallery.h"
#include "cli/table.h"

namespace vs::cli {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --paper: #fafaf8; --ink: #1c1e22; --faint: #62666e; --line: #d6d8dc; --query: #1c62c4;
  --same: #16703e; --other: #b8421a; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --ink: #e6e7ea; --faint: #9aa0aa; --line: #3a3e46; --query: #6ea8ff; --same: #5fc98c;
    --other: #ff9466; }
}
body { margin: 0 auto; padding: 1.5rem; max-width: 100rem; background: var(--paper); color: var(--ink);
  font: 0.8125rem/1.4 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.25rem; overflow-wrap: anywhere; }
header p, footer { margin: 0.25rem 0 0; color: var(--faint); }
section { display: flex; gap: 1rem; margin-top: 1.25rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
ol { display: flex; flex-wrap: wrap; gap: 1rem; margin: 0; padding: 0; list-style: none; }
figure { margin: 0; width: min-content; min-width: 7rem; }
img { display: block; outline: 1px solid var(--line); image-rendering: pixelated; }
.query img { outline: 4px solid var(--query); }
figcaption { margin-top: 0.6rem; }
.query strong { color: var(--query); }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 0.5rem; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.same { color: var(--same); }
.other { color: var(--other); }
footer { margin-top: 1.25rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
@media (max-width: 40rem) { section { flex-direction: column; } }
)";

std::string base64(const std::string& bytes) {
  // EVP_EncodeBlock ends its text with a NUL.
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int written =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(written));
  return out;
}

class Page {
 public:
  explicit Page(const Gallery& gallery) : gallery_(gallery), range_(gallery.range()) {}

  void begin(const std::string& title, const std::string& description) {
    out_ +=
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
        "'unsafe-inline'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
    out_ += html_text(title) + "</title>\n<style>";
    out_.append(kStyle).append("</style>\n</head>\n<body>\n<header>\n<h1>");
    out_ += html_text(title) + "</h1>\n<p>" + html_text(description) + "</p>\n</header>\n<main>\n";
  }

  void add(const GalleryQuery& query) {
    out_ += "<section>\n<figure class=\"query\">\n";
    image(query.item, "query");
    out_ += "<figcaption>\n<strong>query</strong>\n<dl>\n";
    line(query.item.row.empty() ? "id" : "row", query.item.row.empty() ? query.item.id : query.item.row);
    line("label", query.item.label);
    out_ += "</dl>\n</figcaption>\n</figure>\n<ol>\n";
    for (size_t i = 0; i < query.neighbours.size(); ++i) {
      const GalleryItem& neighbour = query.neighbours[i];
      out_ += "<li><figure>\n";
      image(neighbour, "neighbour " + std::to_string(i + 1));
      out_ += "<figcaption><dl>\n";
      line("id", neighbour.id);
      const bool compared = !query.item.label.empty();
      line("label", neighbour.label, !compared ? "" : neighbour.label == query.item.label ? "same" : "other");
      line("distance", neighbour.distance);
      out_ += "</dl></figcaption>\n</figure></li>\n";
    }
    if (query.neighbours.empty()) out_ += "<li>no neighbours</li>\n";
    out_ += "</ol>\n</section>\n";
  }

  std::string finish() {
    std::string black;
    std::string white;
    protocol::append_number(black, static_cast<float>(range_.black));
    protocol::append_number(white, static_cast<float>(range_.white));
    out_ += "</main>\n<footer>Black is " + black + ", white is " + white +
            ". A label is green where it is the query's, orange where it is another.</footer>\n</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  void image(const GalleryItem& item, const std::string& what) {
    const int scale = image_scale(gallery_.shape);
    std::string text = what;
    if (!item.name().empty()) text += (item.row.empty() ? ": id " : ": ") + item.name();
    if (!item.label.empty()) text += ", label " + item.label;
    if (!item.distance.empty()) text += ", distance " + item.distance;
    out_ += "<img alt=\"" + html_text(text) + "\" width=\"" + std::to_string(gallery_.shape.width * scale) +
            "\" height=\"" + std::to_string(gallery_.shape.height * scale) + "\" src=\"data:image/png;base64," +
            base64(draw_vector(item.values, gallery_.shape, range_).png()) + "\">\n";
  }

  void line(const std::string& name, const std::string& value, const std::string& style = "") {
    if (value.empty()) return;
    out_ += "<dt>" + name + "</dt><dd" + (style.empty() ? "" : " class=\"" + style + "\"") + ">" + html_text(value) +
            "</dd>\n";
  }

  const Gallery& gallery_;
  const ValueRange range_;
  std::string out_;
};

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string gallery_page(const Gallery& gallery, const std::string& title, const std::string& description) {
  Page page(gallery);
  page.begin(title, description);
  for (const GalleryQuery& query : gallery.queries) page.add(query);
  return page.finish();
}

}  // namespace vs::cli
