// C functions of many signatures, made by the compiler: up to 16 arguments of all sorts, so many that some lie on the
// stack, the user data among them at each position. Each calls a function pointer with values from a seed, and tells as
// text what it passed and what came back.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace signatures {

struct Source {
  uint64_t state;
  uint64_t next() {
    uint64_t x = state += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
  }
};

// ---- Types ----

template <int> struct Type;
#define SIGNATURE_TYPE(index, type, text) \
  template <> struct Type<index> {        \
    using T = type;                       \
    static constexpr const char *name = text; \
  };
using Text = const char *;
using Pointer = void *;
SIGNATURE_TYPE(0, bool, "bool")
SIGNATURE_TYPE(1, int8_t, "signed char")
SIGNATURE_TYPE(2, uint8_t, "uint8_t")
SIGNATURE_TYPE(3, int16_t, "short")
SIGNATURE_TYPE(4, uint16_t, "uint16_t")
SIGNATURE_TYPE(5, int32_t, "int")
SIGNATURE_TYPE(6, uint32_t, "unsigned int")
SIGNATURE_TYPE(7, int64_t, "long")
SIGNATURE_TYPE(8, uint64_t, "uint64_t")
SIGNATURE_TYPE(9, Pointer, "struct thing *")
SIGNATURE_TYPE(10, float, "float")
SIGNATURE_TYPE(11, double, "double")
SIGNATURE_TYPE(12, Text, "const char *")
SIGNATURE_TYPE(13, uint64_t, "uintptr_t")
SIGNATURE_TYPE(14, Pointer, "void *")
SIGNATURE_TYPE(15, void, "void")
#undef SIGNATURE_TYPE
constexpr int kFloat = 10, kDouble = 11, kText = 12, kVoid = 15;

// ---- Which signature a number means ----

constexpr uint32_t kCount = 128, kArgsMost = 16;

constexpr uint32_t mixed(uint32_t a, uint32_t b) {
  uint32_t x = a * 0x9e3779b1u ^ (b + 0x7f4a7c15u) * 0x85ebca6bu;
  x = (x ^ x >> 15) * 0x2c1b3c6du;
  x = (x ^ x >> 12) * 0x297a2d39u;
  return x ^ x >> 15;
}
// The first 16 have 1 to 16 arguments; the next 16 have 16, with the user data at each position.
constexpr uint32_t count_of(uint32_t i) {
  return i < 16 ? i + 1 : i < 32 || i % 3 == 0 ? kArgsMost : 1 + mixed(i, 99) % kArgsMost;
}
constexpr uint32_t user_data_of(uint32_t i) {
  return i >= 16 && i < 32 ? i - 16 : mixed(i, 98) % count_of(i);
}
constexpr int type_of(uint32_t i, uint32_t position) {
  const uint32_t x = mixed(i, position);
  if (position == user_data_of(i)) return x % 3 == 0 ? 8 : x % 3 == 1 ? 13 : 14;
  if (i % 4 == 1 && x % 4 != 0) return x % 8 < 5 ? kDouble : kFloat;  // more than fit into registers
  if (i % 4 == 2) return (int)(x % 10);
  return (int)(x / 16 % 15);
}
constexpr int returns_of(uint32_t i) {
  const int type = (int)(mixed(i, 97) % 16);
  return type == kText ? kVoid : type;
}

// ---- Values ----

inline const char *const kTexts[] = {nullptr, "", "a", "plain ASCII", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x80",
                                     "a text that is long enough not to lie beside the message, but behind it, in cells"};

template <class T> T make(Source &source) {
  const uint64_t x = source.next();
  if constexpr (std::is_same_v<T, bool>) {
    return x & 1;
  } else if constexpr (std::is_integral_v<T>) {
    switch (x >> 32 & 7) {
      case 0: return std::numeric_limits<T>::min();
      case 1: return std::numeric_limits<T>::max();
      case 2: return (T)~0ull;
      case 3: return (T)((1ull << 53) + 1);
      default: return (T)x;
    }
  } else if constexpr (std::is_floating_point_v<T>) {
    static const T special[] = {T(0), T(-0.0), T(1), T(-1.5), std::numeric_limits<T>::infinity(),
                                std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::denorm_min(),
                                std::numeric_limits<T>::max()};
    return x & 1 ? special[x >> 32 & 7] : (T)(int64_t)x / 3;
  } else if constexpr (std::is_same_v<T, Text>) {
    return kTexts[x % (sizeof kTexts / sizeof *kTexts)];
  } else {
    return reinterpret_cast<T>((uintptr_t)x);
  }
}

inline std::string shown_double(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return std::isnan(x) ? "nan" : std::to_string(bits);
}
template <class T> std::string shown(T x) {
  if constexpr (std::is_same_v<T, bool>) return x ? "true" : "false";
  else if constexpr (std::is_floating_point_v<T>) return shown_double(x);
  else if constexpr (std::is_same_v<T, Text>) return x ? "'" + std::string(x) + "'" : "null";
  else if constexpr (std::is_pointer_v<T>) return std::to_string((uint64_t)(uintptr_t)x);
  else return std::to_string(x);
}

// A value as a whole register or word of the stack: what it does not use is rubbish, as the ABI allows.
template <class T> auto in_register(T value, Source &source) {
  if constexpr (std::is_floating_point_v<T>) {
    uint64_t bits = source.next();
    memcpy(&bits, &value, sizeof value);
    double carrier;
    memcpy(&carrier, &bits, sizeof carrier);
    return carrier;
  } else {
    uint64_t bits = source.next();
    memcpy(&bits, &value, sizeof value);  // little endian
    return bits;
  }
}

// ---- The calls ----

template <class T> T with_user_data(T value, bool is_it, uint64_t user_data) {
  if constexpr (std::is_same_v<T, uint64_t>) return is_it ? (T)user_data : value;
  else if constexpr (std::is_same_v<T, Pointer>) return is_it ? reinterpret_cast<T>((uintptr_t)user_data) : value;
  else return value;
}

template <class R, class... A> void invoke(void *function, std::string *result, A... args) {
  const auto call = reinterpret_cast<R (*)(A...)>(function);
  if constexpr (std::is_void_v<R>) {
    call(args...);
    *result = "undefined";
  } else {
    *result = shown<R>(call(args...));
  }
}

template <uint32_t I, size_t... P>
void call_of(void *function, uint64_t user_data, uint64_t seed, bool dirty, std::string *args, std::string *result,
             std::index_sequence<P...>) {
  using R = typename Type<returns_of(I)>::T;
  constexpr uint32_t place = user_data_of(I);
  Source source{seed};
  const auto run = [&](auto... values) {
    std::string text;
    (void)((P == place ? void() : void(text += (text.empty() ? "" : "|") + shown(values))), ...);
    *args = text;
    if (!dirty) return invoke<R>(function, result, values...);
    Source rubbish{~seed};
    std::tuple<decltype(in_register(values, rubbish))...> words{in_register(values, rubbish)...};
    std::apply([&](auto... word) { invoke<R>(function, result, word...); }, words);
  };
  // Braces: only there is the order of evaluation fixed.
  std::tuple<typename Type<type_of(I, P)>::T...> values{
      with_user_data(make<typename Type<type_of(I, P)>::T>(source), P == place, user_data)...};
  std::apply(run, values);
}

template <uint32_t I>
void call(void *function, uint64_t user_data, uint64_t seed, bool dirty, std::string *args, std::string *result) {
  call_of<I>(function, user_data, seed, dirty, args, result, std::make_index_sequence<count_of(I)>());
}

struct Signature {
  void (*call)(void *function, uint64_t user_data, uint64_t seed, bool dirty, std::string *args, std::string *result);
};

template <uint32_t... I> const Signature *table(std::integer_sequence<uint32_t, I...>) {
  static const Signature made[] = {{call<I>}...};
  return made;
}
inline const Signature &signature(uint32_t i) {
  static const Signature *const all = table(std::make_integer_sequence<uint32_t, kCount>());
  return all[i];
}

template <int... I> const char *name_in(int type, std::integer_sequence<int, I...>) {
  static const char *const names[] = {Type<I>::name...};
  return names[type];
}
inline const char *name_of(int type) { return name_in(type, std::make_integer_sequence<int, 16>()); }

// "returns;user data;type,type,..."
inline std::string described(uint32_t i) {
  std::string text = std::string(name_of(returns_of(i))) + ";" + std::to_string(user_data_of(i)) + ";";
  for (uint32_t p = 0; p < count_of(i); p++) text += (p ? "," : "") + std::string(name_of(type_of(i, p)));
  return text;
}

}  // namespace signatures
