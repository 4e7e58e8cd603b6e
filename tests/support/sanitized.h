// Whether this program is built with a sanitizer that keeps freed memory on purpose.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DAEDALUS_TESTS_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DAEDALUS_TESTS_SANITIZED 1
#endif

namespace daedalus::test {

#ifdef DAEDALUS_TESTS_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace daedalus::test
