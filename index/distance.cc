#include "index/distance.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "index/distance_kernels.h"

namespace vs {
namespace {

template <float (*dot)(const float*, const float*, size_t)>
float negative_dot(const float* a, const float* b, size_t dim) {
  return -dot(a, b, dim);
}

template <float (*dot)(const float*, const float*, size_t)>
float one_minus_dot(const float* a, const float* b, size_t dim) {
  return 1.0f - dot(a, b, dim);
}

std::vector<Kernels> find_available() {
  std::vector<Kernels> found = {{"portable", kernels_portable::l2_squared, negative_dot<kernels_portable::dot>,
                                 one_minus_dot<kernels_portable::dot>, kernels_portable::code_products,
                                 kernels_portable::encoding}};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back({"avx2", kernels_avx2::l2_squared, negative_dot<kernels_avx2::dot>,
                     one_minus_dot<kernels_avx2::dot>, kernels_avx2::code_products, kernels_avx2::encoding});
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni")) {
    found.push_back({"avx512", kernels_avx512::l2_squared, negative_dot<kernels_avx512::dot>,
                     one_minus_dot<kernels_avx512::dot>, kernels_avx512::code_products, kernels_avx512::encoding});
  }
#endif
  return found;
}

const Kernels& choose() {
  const auto available = available_kernels();
  if (const char* wanted = std::getenv("VSD_KERNELS")) {
    for (const Kernels& candidate : available) {
      if (candidate.name == wanted) return candidate;
    }
  }
  return available.back();
}

}  // namespace

std::string_view metric_name(Metric metric) {
  switch (metric) {
    case Metric::kL2:
      return "l2";
    case Metric::kCosine:
      return "cosine";
    case Metric::kDot:
      return "dot";
  }
  return "l2";
}

std::optional<Metric> metric_from_name(std::string_view name) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    if (metric_name(metric) == name) return metric;
  }
  return std::nullopt;
}

std::span<const Kernels> available_kernels() {
  static const std::vector<Kernels> available = find_available();
  return available;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

DistanceFunction index_distance(Metric metric) {
  switch (metric) {
    case Metric::kL2:
      return kernels().l2_squared;
    case Metric::kCosine:
      return kernels().one_minus_dot;
    case Metric::kDot:
      return kernels().negative_dot;
  }
  return kernels().l2_squared;
}

float user_distance(Metric metric, float index_value) {
  switch (metric) {
    case Metric::kL2:
      return std::sqrt(index_value);
    case Metric::kCosine:
      return std::max(index_value, 0.0f);  // rounding can take 1 - dot of equal vectors below 0
    case Metric::kDot:
      break;
  }
  return index_value;
}

Status validate_vector(Metric metric, std::span<const float> vector) {
  for (size_t i = 0; i < vector.size(); ++i) {
    if (!std::isfinite(vector[i])) {
      return {Code::kNotFinite, "expected finite numbers, component " + std::to_string(i) + " is " +
                                    (std::isnan(vector[i]) ? "NaN" : "infinite") + "; remove or replace it"};
    }
  }
  if (metric == Metric::kCosine && std::all_of(vector.begin(), vector.end(), [](float x) { return x == 0.0f; })) {
    return {Code::kZeroVector, "a vector of zeros has no direction, which metric=cosine compares; leave it out"};
  }
  return {};
}

void normalize(std::span<float> vector) {
  // Scaled by the largest component first: the squares of very small or large floats would leave the range.
  float largest = 0;
  for (const float x : vector) largest = std::max(largest, std::fabs(x));
  double sum = 0;
  for (const float x : vector) {
    const double scaled = static_cast<double>(x) / static_cast<double>(largest);
    sum += scaled * scaled;
  }
  const double norm = std::sqrt(sum) * static_cast<double>(largest);
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / norm);
}

}  // namespace vs
