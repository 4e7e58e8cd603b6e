// Interposed glob() and wordexp(), whose own calls in the C library are not those of this library.
#include <dirent.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <wordexp.h>

#include <cerrno>

#include "src/preload/next.h"
#include "src/preload/paths.h"

using namespace daedalus::preload;

namespace {

/// A glob() by our functions. The caller's own, if it brings any, are its business.
template <class Glob, class Entry, class Status, class Call>
int globWith(Glob* found, int flags, Entry* (*read)(DIR*), int (*status)(const char*, Status*),
             int (*linkStatus)(const char*, Status*), Call call) {
    if (!servesNode() || found == nullptr || (flags & GLOB_ALTDIRFUNC) != 0) return call(flags, found);
    const Glob before = *found;
    found->gl_opendir = [](const char* path) { return static_cast<void*>(::opendir(path)); };
    found->gl_closedir = [](void* dir) { ::closedir(static_cast<DIR*>(dir)); };
    found->gl_readdir = reinterpret_cast<decltype(found->gl_readdir)>(read);
    found->gl_stat = status;
    found->gl_lstat = linkStatus;
    const int result = call(flags | GLOB_ALTDIRFUNC, found);
    found->gl_opendir = before.gl_opendir;
    found->gl_closedir = before.gl_closedir;
    found->gl_readdir = before.gl_readdir;
    found->gl_stat = before.gl_stat;
    found->gl_lstat = before.gl_lstat;
    found->gl_flags &= ~GLOB_ALTDIRFUNC;
    return result;
}

}  // namespace

using GlobError = int (*)(const char*, int);

DAEDALUS_EXPORT int glob(const char* pattern, int flags, GlobError onError, glob_t* found) noexcept {
    return globWith<glob_t, dirent, struct stat>(found, flags, ::readdir, ::stat, ::lstat, [&](int with, glob_t* into) {
        return DAEDALUS_NEXT(glob)(pattern, with, onError, into);
    });
}

DAEDALUS_EXPORT int glob64(const char* pattern, int flags, GlobError onError, glob64_t* found) noexcept {
    return globWith<glob64_t, dirent64, struct stat64>(
        found, flags, ::readdir64, ::stat64, ::lstat64,
        [&](int with, glob64_t* into) { return DAEDALUS_NEXT(glob64)(pattern, with, onError, into); });
}

// wordexp(): the C library expands the words, with the characters of patterns replaced by others that it leaves alone; then
// they are put back and matched here.

namespace {

constexpr char kPatternCharacters[] = "*?[";
/// Control characters that nobody has in a word; in the order of kPatternCharacters.
constexpr char kStandIns[] = "\x1C\x1D\x1E";

/// The end of what begins at `text` with '$' or '`', of whatever nesting.
const char* passExpansion(const char* text) {
    if (*text == '`') {
        for (++text; *text != '\0' && *text != '`'; ++text) {
            if (*text == '\\' && text[1] != '\0') ++text;
        }
        return *text == '`' ? text + 1 : text;
    }
    ++text;
    if (*text != '(' && *text != '{' && *text != '[') return *text != '\0' ? text + 1 : text;
    int depth = 0;
    for (; *text != '\0'; ++text) {
        if (*text == '\\' && text[1] != '\0') {
            ++text;
        } else if (*text == '\'') {
            const char* const end = ::strchr(text + 1, '\'');
            if (end == nullptr) return text + ::strlen(text);
            text = end;
        } else if (*text == '(' || *text == '{' || *text == '[') {
            ++depth;
        } else if ((*text == ')' || *text == '}' || *text == ']') && --depth == 0) {
            return text + 1;
        }
    }
    return text;
}

/// Replaces the characters of patterns that are neither quoted nor part of an expansion. Returns whether there was any.
bool hidePatterns(char* words) {
    bool any = false;
    bool quoted = false;
    for (char* at = words; *at != '\0';) {
        if (*at == '\\' && at[1] != '\0') {
            at += 2;
            continue;
        }
        if (*at == '\'' && !quoted) {
            char* const end = ::strchr(at + 1, '\'');
            if (end == nullptr) return any;
            at = end + 1;
            continue;
        }
        if (*at == '$' || *at == '`') {
            at = const_cast<char*>(passExpansion(at));
            continue;
        }
        if (*at == '"') quoted = !quoted;
        const char* const pattern = quoted ? nullptr : ::strchr(kPatternCharacters, *at);
        if (pattern != nullptr) {
            *at = kStandIns[pattern - kPatternCharacters];
            any = true;
        }
        ++at;
    }
    return any;
}

/// What a word becomes: as a pattern (characters of patterns that are no patterns are quoted), and as it is.
char* asPattern(const char* word) {
    char* const pattern = static_cast<char*>(::malloc(2 * ::strlen(word) + 1));
    char* out = pattern;
    for (const char* at = word; pattern != nullptr && *at != '\0'; ++at) {
        const char* const hidden = ::strchr(kStandIns, *at);
        if (hidden == nullptr && (::strchr(kPatternCharacters, *at) != nullptr || *at == '\\')) *out++ = '\\';
        *out++ = hidden != nullptr ? kPatternCharacters[hidden - kStandIns] : *at;
    }
    if (pattern != nullptr) *out = '\0';
    return pattern;
}

void unhide(char* word) {
    for (char* at = word; *at != '\0'; ++at) {
        if (const char* const hidden = ::strchr(kStandIns, *at)) *at = kPatternCharacters[hidden - kStandIns];
    }
}

/// Puts `count` words in place of number `index`. The old one is freed, the new ones are copied. False for want of memory.
bool replaceWord(wordexp_t& words, size_t index, char* const* with, size_t count) {
    const size_t offset = words.we_offs;
    auto** const grown = static_cast<char**>(::realloc(words.we_wordv, (offset + words.we_wordc + count + 1) * sizeof(char*)));
    if (grown == nullptr) return false;
    words.we_wordv = grown;
    char** const place = grown + offset + index;
    char* const old = *place;
    // The tail, and the null behind it.
    ::memmove(place + count, place + 1, (words.we_wordc - index) * sizeof(char*));
    bool good = true;
    for (size_t i = 0; i < count; ++i) {
        place[i] = ::strdup(with[i]);
        if (place[i] == nullptr) good = (place[i] = static_cast<char*>(::calloc(1, 1))) != nullptr && false;
    }
    words.we_wordc = words.we_wordc - 1 + count;
    ::free(old);
    return good;
}

}  // namespace

DAEDALUS_EXPORT int wordexp(const char* text, wordexp_t* words, int flags) {
    if (!servesNode() || text == nullptr || words == nullptr) return DAEDALUS_NEXT(wordexp)(text, words, flags);
    char* const hidden = ::strdup(text);
    if (hidden == nullptr) return WRDE_NOSPACE;
    const bool any = ::strpbrk(text, kStandIns) == nullptr && hidePatterns(hidden);
    const int before = errno;
    const size_t first = (flags & WRDE_APPEND) != 0 ? words->we_wordc : 0;
    int result = DAEDALUS_NEXT(wordexp)(any ? hidden : text, words, flags);
    ::free(hidden);
    if (!any || result != 0) return result;
    for (size_t i = first; i < words->we_wordc;) {
        char* const word = words->we_wordv[words->we_offs + i];
        if (::strpbrk(word, kStandIns) == nullptr) {
            ++i;
            continue;
        }
        glob_t matches{};
        char* const pattern = asPattern(word);
        unhide(word);
        size_t count = 1;
        if (pattern == nullptr) {
            result = WRDE_NOSPACE;
        } else if (::glob(pattern, 0, nullptr, &matches) == 0) {
            count = matches.gl_pathc;
            if (!replaceWord(*words, i, matches.gl_pathv, count)) result = WRDE_NOSPACE;
            ::globfree(&matches);
        }
        ::free(pattern);
        i += count;
    }
    errno = before;
    return result;
}
