// Interposed walks over a tree: ftw(), nftw() and fts. The C library's own calls in them are not those of this library, so what
// they find is completed: a folder that lists something of ours gives that, too.
#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>

#include "src/preload/next.h"
#include "src/preload/on_path.h"

using namespace daedalus::preload;

namespace {

/// `folder` and `name` with one '/' between them; the caller frees it.
char* join(const char* folder, const char* name) {
    const size_t length = ::strlen(folder);
    const size_t size = length + ::strlen(name) + 2;
    auto* const path = static_cast<char*>(::malloc(size));
    if (path == nullptr) return nullptr;
    ::snprintf(path, size, "%s%s%s", folder, length > 0 && folder[length - 1] == '/' ? "" : "/", name);
    return path;
}

// nftw

/// One walk of this thread. A callback may begin another.
struct Walked {
    Walked* outer;
    __nftw_func_t visit;
    int flags;
    /// A folder of ours is walked in the place where it really lies, and told by its name.
    const char* realRoot;
    const char* shownRoot;
    int levelOffset;
};
__thread Walked* walked __attribute__((tls_model("initial-exec"))) = nullptr;

int walkReal(const char* root, const char* shownRoot, int levelOffset, __nftw_func_t visit, int limit, int flags);

/// Tells the program of an entry. With FTW_CHDIR, from within its folder.
int visitFrom(const Walked& walk, const char* path, const struct stat* status, int type, int level) {
    const char* const slash = ::strrchr(path, '/');
    FTW place{slash != nullptr ? static_cast<int>(slash - path) + 1 : 0, level};
    return walk.visit(path, status, type, &place);
}

/// Tells of our entries in `folder`, whose own name begins at `base`: where the walk moves, the program is beside it.
int visitOwn(const Walked& walk, const char* folder, int base, const struct stat* folderStatus, int level) {
    const bool moves = (walk.flags & FTW_CHDIR) != 0;
    const int here = moves ? ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (moves && (here < 0 || ::chdir(folder[base] != '\0' ? folder + base : folder) != 0)) {
        realClose(here);
        return -1;
    }
    ListedEntry own;
    int result = 0;
    for (size_t i = 0; result == 0 && listedEntry(folderStatus->st_dev, folderStatus->st_ino, i, own); ++i) {
        char* const path = join(folder, own.name);
        if (path == nullptr) {
            errno = ENOMEM;
            result = -1;
        } else if (own.type == DT_DIR) {
            result = walkReal(path, path, level + 1, walk.visit, 8, walk.flags);
        } else {
            struct stat status {};
            const bool physical = (walk.flags & FTW_PHYS) != 0;
            const char* const at = moves ? own.name : path;
            const bool good = (physical ? ::lstat(at, &status) : ::stat(at, &status)) == 0;
            const int type = !good ? FTW_NS : S_ISDIR(status.st_mode) ? FTW_D : S_ISLNK(status.st_mode) ? FTW_SL : FTW_F;
            result = visitFrom(walk, path, &status, type, level + 1);
        }
        ::free(path);
    }
    if (moves) {
        if (::fchdir(here) != 0) result = -1;
        realClose(here);
    }
    return result;
}

int onVisit(const char* path, const struct stat* status, int type, FTW* place) {
    Walked* const walk = walked;
    char* renamed = nullptr;
    FTW shownPlace = *place;
    shownPlace.level += walk->levelOffset;
    if (walk->realRoot != nullptr) {
        const size_t root = ::strlen(walk->realRoot);
        renamed = ::strncmp(path, walk->realRoot, root) == 0
                      ? (path[root] == '\0' ? ::strdup(walk->shownRoot)
                                            : join(walk->shownRoot, path + root + ::strspn(path + root, "/")))
                      : nullptr;
        if (renamed == nullptr) return errno = ENOMEM, -1;
        const char* const slash = ::strrchr(renamed, '/');
        shownPlace.base = slash != nullptr && slash[1] != '\0' ? static_cast<int>(slash - renamed) + 1 : 0;
        path = renamed;
    }
    // A link to ours leads nowhere for the C library.
    struct stat corrected;
    if ((type == FTW_SLN || type == FTW_NS) && (walk->flags & FTW_PHYS) == 0 && ::stat(path, &corrected) == 0) {
        status = &corrected;
        type = FTW_F;
    }
    const bool lists = (type == FTW_D || type == FTW_DP) && mayListOurs(status->st_ino);
    int result = 0;
    if (lists && type == FTW_DP) result = visitOwn(*walk, path, shownPlace.base, status, shownPlace.level);
    if (result == 0) {
        // A callback may begin a walk of its own, which ends before it returns.
        result = walk->visit(path, status, type, &shownPlace);
        walked = walk;
    }
    if (lists && type == FTW_D && result == 0) {
        const int own = visitOwn(*walk, path, shownPlace.base, status, shownPlace.level);
        const bool actions = (walk->flags & FTW_ACTIONRETVAL) != 0;
        result = actions && own == FTW_SKIP_SIBLINGS ? FTW_SKIP_SUBTREE : own;
        walked = walk;
    }
    ::free(renamed);
    return result;
}

bool isLink(const char* path) {
    const KeepErrno keep;
    struct stat status;
    return realLstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

int walkReal(const char* root, const char* shownRoot, int levelOffset, __nftw_func_t visit, int limit, int flags) {
    Path found;
    Walked walk{walked, visit, flags, nullptr, nullptr, levelOffset};
    const bool follow = (flags & FTW_PHYS) == 0;
    if (findPath(AT_FDCWD, root, follow, found) || (isLink(root) && follow && walkPath(AT_FDCWD, root, true, found))) {
        if (found.kind == PathKind::Node) {
            struct stat status {};
            return statNode(found.node, &status) ? visitFrom(walk, root, &status, FTW_F, levelOffset) : -1;
        }
        walk.realRoot = found.standIn;
        walk.shownRoot = shownRoot;
    }
    walked = &walk;
    const int result = DAEDALUS_NEXT(nftw)(walk.realRoot != nullptr ? walk.realRoot : root, onVisit, limit, flags);
    walked = walk.outer;
    return result;
}

}  // namespace

DAEDALUS_EXPORT int nftw(const char* root, __nftw_func_t visit, int limit, int flags) {
    if (!servesNode() || root == nullptr) return DAEDALUS_NEXT(nftw)(root, visit, limit, flags);
    return walkReal(root, root, 0, visit, limit, flags);
}

DAEDALUS_EXPORT int nftw64(const char* root, __nftw64_func_t visit, int limit, int flags) {
    // The two differ in the name of struct stat.
    return ::nftw(root, reinterpret_cast<__nftw_func_t>(visit), limit, flags);
}

namespace {

__thread __ftw_func_t plainVisit __attribute__((tls_model("initial-exec"))) = nullptr;

int visitPlain(const char* path, const struct stat* status, int type, FTW*) {
    const __ftw_func_t visit = plainVisit;
    // ftw() knows no FTW_SLN: a link that leads nowhere is FTW_NS.
    const int result = visit(path, status, type == FTW_SLN ? FTW_NS : type);
    plainVisit = visit;
    return result;
}

}  // namespace

DAEDALUS_EXPORT int ftw(const char* root, __ftw_func_t visit, int limit) {
    if (!servesNode()) return DAEDALUS_NEXT(ftw)(root, visit, limit);
    const __ftw_func_t outer = plainVisit;
    plainVisit = visit;
    const int result = ::nftw(root, visitPlain, limit, 0);
    plainVisit = outer;
    return result;
}

DAEDALUS_EXPORT int ftw64(const char* root, __ftw64_func_t visit, int limit) {
    return ::ftw(root, reinterpret_cast<__ftw_func_t>(visit), limit);
}

// fts: between a folder and what the C library finds in it comes what is ours.

namespace {

/// A walk that has come to a folder which lists ours.
struct OpenTree {
    OpenTree* next;
    FTS* tree;
    FTSENT* folder;   ///< whose entries come next; the C library's
    size_t position;  ///< of the next of our entries
    FTSENT* told;     ///< what was told last, if it is ours
};

Lock treesLock;
OpenTree* trees = nullptr;  // guarded by treesLock

OpenTree* findTree(FTS* tree, bool create) {
    const Locked locked(treesLock);
    OpenTree* known = trees;
    while (known != nullptr && known->tree != tree) known = known->next;
    if (known != nullptr || !create) return known;
    known = static_cast<OpenTree*>(::calloc(1, sizeof *known));
    if (known == nullptr) return nullptr;
    known->tree = tree;
    known->next = trees;
    trees = known;
    return known;
}

void freeEntry(FTSENT* entry) {
    if (entry == nullptr) return;
    ::free(entry->fts_path);
    ::free(entry->fts_accpath);
    ::free(entry->fts_statp);
    ::free(entry);
}

/// What is known of `entry` by its path.
void describe(FTSENT& entry, bool follow) {
    const KeepErrno keep;
    struct stat& status = *entry.fts_statp;
    const bool good = ::fstatat(AT_FDCWD, entry.fts_accpath, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0;
    entry.fts_ino = status.st_ino;
    entry.fts_dev = status.st_dev;
    entry.fts_nlink = status.st_nlink;
    // A folder of ours is told, not entered.
    entry.fts_info = !good                     ? FTS_NS
                     : S_ISLNK(status.st_mode) ? FTS_SL
                     : S_ISDIR(status.st_mode) ? FTS_D
                     : S_ISREG(status.st_mode) ? FTS_F
                                               : FTS_DEFAULT;
}

bool follows(const FTS& tree) { return (tree.fts_options & FTS_LOGICAL) != 0; }

/// Our next entry in `open.folder`, or nullptr.
FTSENT* tellOwn(OpenTree& open) {
    FTSENT* const folder = open.folder;
    ListedEntry own;
    if (!listedEntry(folder->fts_statp->st_dev, folder->fts_statp->st_ino, open.position, own)) return nullptr;
    ++open.position;
    const size_t name = ::strlen(own.name);
    auto* const entry = static_cast<FTSENT*>(::calloc(1, offsetof(FTSENT, fts_name) + name + 1));
    if (entry == nullptr) return nullptr;
    ::memcpy(entry->fts_name, own.name, name + 1);
    entry->fts_namelen = static_cast<unsigned short>(name);
    entry->fts_parent = folder;
    entry->fts_level = static_cast<short>(folder->fts_level + 1);
    entry->fts_instr = FTS_NOINSTR;
    entry->fts_path = join(folder->fts_path, own.name);
    // The walk has not entered the folder yet.
    entry->fts_accpath = join(folder->fts_accpath, own.name);
    entry->fts_statp = static_cast<struct stat*>(::calloc(1, sizeof(struct stat)));
    if (entry->fts_path == nullptr || entry->fts_accpath == nullptr || entry->fts_statp == nullptr) {
        freeEntry(entry);
        return nullptr;
    }
    entry->fts_pathlen = static_cast<unsigned short>(::strlen(entry->fts_path));
    describe(*entry, follows(*open.tree));
    open.told = entry;
    return entry;
}

FTSENT* readTree(FTS* tree, FTSENT* (*next)(FTS*)) {
    OpenTree* open = findTree(tree, false);
    if (open != nullptr && open->folder != nullptr) {
        freeEntry(open->told);
        open->told = nullptr;
        if (open->folder->fts_instr != FTS_SKIP) {
            if (FTSENT* const own = tellOwn(*open)) return own;
        }
        open->folder = nullptr;
    }
    FTSENT* const entry = next(tree);
    if (entry == nullptr || entry->fts_statp == nullptr) return entry;
    // What leads to ours is not there for the C library.
    if (entry->fts_info == FTS_NS || (entry->fts_info == FTS_SLNONE && follows(*tree))) {
        Path found;
        if (findPath(AT_FDCWD, entry->fts_accpath, true, found) || walkPath(AT_FDCWD, entry->fts_accpath, true, found)) {
            describe(*entry, true);
        }
    }
    if (entry->fts_info != FTS_D) return entry;
    if (!mayListOurs(entry->fts_statp->st_ino)) return entry;
    open = findTree(tree, true);
    if (open != nullptr) {
        open->folder = entry;
        open->position = 0;
    }
    return entry;
}

int closeTree(FTS* tree, int (*next)(FTS*)) {
    OpenTree* gone = nullptr;
    {
        const Locked locked(treesLock);
        for (OpenTree** link = &trees; *link != nullptr; link = &(*link)->next) {
            if ((*link)->tree != tree) continue;
            gone = *link;
            *link = gone->next;
            break;
        }
    }
    if (gone != nullptr) freeEntry(gone->told);
    ::free(gone);
    return next(tree);
}

}  // namespace

DAEDALUS_EXPORT FTSENT* fts_read(FTS* tree) { return readTree(tree, DAEDALUS_NEXT(fts_read)); }
DAEDALUS_EXPORT int fts_close(FTS* tree) { return closeTree(tree, DAEDALUS_NEXT(fts_close)); }

// The 64-bit twins, with structs of the same form.
static_assert(sizeof(FTSENT) == sizeof(FTSENT64));

DAEDALUS_EXPORT FTSENT64* fts64_read(FTS64* tree) {
    return reinterpret_cast<FTSENT64*>(
        readTree(reinterpret_cast<FTS*>(tree), reinterpret_cast<FTSENT* (*)(FTS*)>(DAEDALUS_NEXT(fts64_read))));
}

DAEDALUS_EXPORT int fts64_close(FTS64* tree) {
    return closeTree(reinterpret_cast<FTS*>(tree), reinterpret_cast<int (*)(FTS*)>(DAEDALUS_NEXT(fts64_close)));
}
