// What lies where in the arena: the sizes, the structs, and the bits of a handle and of a slot.
//
// Everything here is shared by native threads and JavaScript, and one day by two processes, so it holds offsets
// and never pointers, and nothing that a dead process could keep: no lock, no count of who is inside (P28).
// JavaScript learns the offsets that it needs from HAFT_LAYOUT_MAP and checks them against its own copy.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "haft.h"

namespace haft {

// ---- Handles: 1 in bit 52, then generation, then index ------------------------------------------------

// A test build has few generations and few blocks, so that it wraps and runs out within a test.
#ifndef HAFT_GENERATION_BITS
#define HAFT_GENERATION_BITS 26
#endif
#ifndef HAFT_BLOCKS_MAX
#define HAFT_BLOCKS_MAX 65536
#endif

constexpr unsigned kIndexBits = 26;
constexpr unsigned kGenerationShift = kIndexBits;
constexpr uint64_t kIndexMask = (1u << kIndexBits) - 1;
constexpr uint64_t kGenerationMask = (1u << HAFT_GENERATION_BITS) - 1;
constexpr uint64_t kHandleBase = 1ull << 52;

constexpr unsigned kBlockBits = 10;
constexpr uint32_t kBlockSlots = 1u << kBlockBits;
constexpr uint32_t kBlocks = 1u << (kIndexBits - kBlockBits);
static_assert(HAFT_BLOCKS_MAX <= kBlocks && HAFT_GENERATION_BITS <= 26, "a handle has 26 bits of each");

// ---- Slots: word A is generation 26 | state 3 | kind 13 | references 22 (P2) ---------------------------

constexpr unsigned kReferenceBits = 22;
constexpr unsigned kKindBits = 13;
constexpr unsigned kStateBits = 3;
constexpr unsigned kKindShift = kReferenceBits;
constexpr unsigned kStateShift = kKindShift + kKindBits;
constexpr unsigned kWordGenerationShift = kStateShift + kStateBits;
constexpr uint64_t kReferenceMask = (1ull << kReferenceBits) - 1;
constexpr uint32_t kKinds = 1u << kKindBits;  // 0 is no kind

enum SlotState : uint32_t {
  kFree = 0,     // on the owner's free list; only the owning realm's JavaScript thread writes it
  kLive = 1,     // names an object
  kZombie = 2,   // the last reference is gone; on its shard's reclaim list
  kRetired = 3,  // the generation came round: out of use for ever
  kMoved = 4,    // the object lives in another realm now; the link is its new handle
  kCollected = 5,  // a weak handle whose object is gone; its references are still to be given back
};

struct Slot {
  std::atomic<uint64_t> word;  // word A
  std::atomic<uint64_t> link;  // word B: the next slot of the reclaim list, as index + 1; of a moved one its new handle
};
static_assert(sizeof(Slot) == 16, "JavaScript addresses slots by 16 bytes");

// ---- Mailboxes ------------------------------------------------------------------------------------------

constexpr uint32_t kShards = 16;  // of every realm; a constant of the process (P23)
constexpr uint32_t kRingCells = 1024;
constexpr uint32_t kCellBytes = 64;
constexpr uint32_t kInlineArgs = 5;
constexpr uint32_t kMessageCells = 16;  // the longest message inside a ring; a longer one goes to the heap
static_assert((kRingCells & (kRingCells - 1)) == 0 && kRingCells >= 2 * kMessageCells, "P13");

// The first cell of a message. The cells behind it are its tail: the values of arguments beyond the fifth, their
// types (a byte each, padded to 8), then strings and bytes. A tail too long for the ring lies in the heap, and
// the second cell says where.
// Who counts the posts in a ring looks at cells that may be written meanwhile: hence the atomics.
struct Cell {
  std::atomic<uint32_t> sequence;  // position + 1 once it is published
  std::atomic<uint32_t> op;        // 0: nothing, the rest of the ring up to its end
  double handle;                   // a double, so that JavaScript reads it in one load
  uint64_t args[kInlineArgs];      // for str and bytes: offset in the tail (low half), length | kAsciiFlag
  std::atomic<uint32_t> shape;     // types of the first five (4 bits each) | count << 20 | cells << 25 | heap << 30
  std::atomic<uint32_t> reply;     // 0: a post; else slot + 1 | sequence << kReplyNumberBits
};
static_assert(sizeof(Cell) == kCellBytes, "a cell is a cache line");

// Types beyond haft_type, of what C and trampolines pass to each other. Four bits hold them all.
enum WireType : uint32_t {
  kWireU64 = 9,    // pointers too
  kWireText = 10,  // `const char *`: any bytes, or NULL
  kWireI8 = 11,
  kWireU8 = 12,
  kWireI16 = 13,
  kWireU16 = 14,
  kWireF32 = 15  // travels as a double
};
constexpr uint64_t kNoText = ~0ull;  // a text that is NULL

struct HeapTail {  // the second cell of a message whose tail lies in the heap
  std::atomic<uint32_t> sequence;
  uint32_t bytes;
  uint64_t chunk;  // offset in the arena
};

// What C asks of JavaScript on the realm's own thread: a message without an op, its first argument one of these.
enum ScriptRequest : uint64_t {
  kLookUp = 0,  // nothing: whether it still runs
  kServe = 1    // handle what waits; the answer is how many messages that was
};

constexpr uint32_t kShapeCountShift = 20;
constexpr uint32_t kShapeCellsShift = 25;
constexpr uint32_t kShapeHeapBit = 1u << 30;
constexpr uint32_t kAsciiFlag = 1u << 31;  // in the length of a string: every byte is below 0x80

// What became of the messages of a mailbox. Producers write the first half, and only where a send did not simply succeed;
// JavaScript writes the second. A delivered message costs its producer nothing.
struct Counters {
  alignas(64) std::atomic<uint64_t> refused;  // full, closed, no memory, ...
  std::atomic<uint64_t> dropped;              // HAFT_DROP_NEWEST
  std::atomic<uint64_t> expired;              // calls whose caller gave up
  std::atomic<uint64_t> longest_wait;         // nanoseconds that a producer waited for room
  std::atomic<uint32_t> highest_fill;         // cells in use, as a producer found them
  alignas(64) std::atomic<double> delivered;  // handlers that ran
  std::atomic<double> declined;               // refused at delivery: the object was gone, the breaker open, ...
  std::atomic<double> waiting;                // posts taken out of the ring and held: for a batch, a retry, a move
  std::atomic<double> fill;                   // as highest_fill, as the drain found it
};

struct Ring {
  alignas(64) std::atomic<uint64_t> tail;  // producers claim here; 64 bits, so that a claim never repeats (P13)
  std::atomic<uint32_t> known_head;        // a head that some producer saw; saves reading the consumer's line
  alignas(64) std::atomic<uint32_t> head;  // JavaScript has copied out everything before it (P11)
  std::atomic<uint32_t> space_wanted;      // a producer waits for room; futex
  Counters counters;
  alignas(64) Cell cells[kRingCells];
};

// ---- Replies ----------------------------------------------------------------------------------------------

constexpr uint32_t kReplyNumberBits = 12;
constexpr uint32_t kReplies = (1u << kReplyNumberBits) - 1;  // calls that wait at one time
constexpr uint32_t kReplySequenceMask = (1u << (32 - kReplyNumberBits)) - 1;
constexpr unsigned kReplySequenceShift = 2;
constexpr uint32_t kReplyInlineBytes = 208;

// PENDING is not written: a slot whose word is still DONE with the sequence before is PENDING for this one. So a call
// that is answered while its caller spins writes the slot on one side only, and its line travels once.
enum ReplyState : uint32_t {
  kDone = 0,
  kStarted = 1,    // the handler runs
  kAbandoned = 2,  // the caller gave up; JavaScript frees the slot
  kLater = 3       // the handler returned a promise; a caller that gives up frees the slot, for it may never settle
};

enum ReplySleeper : uint32_t {
  kAwake = 0,
  kAsleep = 1,      // the caller sleeps, wake it
  kNobodyWaits = 2  // haft_call_async: complete it
};

struct Reply {
  std::atomic<uint32_t> state;    // ReplyState | sequence << 2
  std::atomic<uint32_t> sleeper;  // ReplySleeper; futex
  int32_t status;
  uint32_t type;                  // of the result
  uint64_t value;                 // for text beyond kReplyInlineBytes: a chunk of the heap
  uint32_t length;                // bytes of a string, of bytes, or of an error's text
  uint32_t in_heap;
  uint32_t unused[4];
  char text[kReplyInlineBytes];   // an error's text is name NUL message NUL stack
};
static_assert(sizeof(Reply) == 256, "four cache lines");

// ---- A realm ----------------------------------------------------------------------------------------------

constexpr uint32_t kRealms = 128;  // open at one time
constexpr unsigned kRealmNumberBits = 8;
constexpr uint64_t kRealmNumberMask = (1u << kRealmNumberBits) - 1;
constexpr unsigned kMarkShift = 40;  // of Realm::blocked_on: an id is below, by a count of realms of 32 bits

constexpr uint32_t kEvents = 32;  // bits of HAFT_EVENT_*

enum Serving : uint32_t { kNotServing = 0, kServing = 1, kCalled = 2 };

enum RealmState : uint32_t {
  kRealmFree = 0,
  kRealmOpening = 1,
  kRealmOpen = 2,
  kRealmClosing = 3,
  kRealmClosed = 4,
  kRealmLost = 5  // its process died in the midst of a write to its rings: out of use for ever
};

constexpr uint32_t kNames = 1024;  // published by one realm at one time; a power of two
constexpr uint32_t kNameBytes = 112;
struct Name {
  // 0: never used. Odd: being written. A reader that finds it changed reads again.
  std::atomic<uint32_t> version;
  std::atomic<uint32_t> length;
  std::atomic<uint64_t> handle;  // HAFT_NULL: the entry is free for another name
  std::atomic<uint64_t> words[kNameBytes / 8];  // the bytes, padded with 0
};
static_assert(sizeof(Name) == 128, "two cache lines, and names are compared by words");

// ---- Calls of functions of the host (host_calls.h) ----------------------------------------------------------

constexpr uint32_t kHostCalls = 256;  // that wait or run at one time; a power of two
constexpr unsigned kHostStateBits = 3;

enum HostCallState : uint32_t {
  kHostFree = 0,
  kHostQueued = 1,
  kHostTaken = 2,     // some thread of the host has it
  kHostDone = 3,      // the answer stands in the reply
  kHostAbandoned = 4  // JavaScript gave it up; the thread that has it frees it
};

// How JavaScript waits for it.
enum HostCallMode : uint32_t {
  kHostPromise = 0,
  kHostSync = 1,     // its thread waits, and handles messages meanwhile
  kHostSyncDeaf = 2  // and handles none: too many such waits stand one inside the other
};

struct HostCall {
  std::atomic<uint32_t> state;      // HostCallState | sequence << kHostStateBits
  std::atomic<uint32_t> next_done;  // the one that ended before it, as number + 1
  uint32_t mode;                    // HostCallMode
  uint32_t name_length;
  char name[kNameBytes];
  alignas(64) Cell message[kMessageCells];
  Reply reply;
};

constexpr uint64_t kHeapBytes = 64ull << 20;
constexpr uint64_t kHeapPageBytes = 4096;

constexpr uint32_t kExchangeWords = 2048;  // arguments and results of addon calls, without Node-API values

struct Realm {
  alignas(64) std::atomic<uint64_t> life;  // RealmState | id << 8: one load says whose and whether it is open
  alignas(64) std::atomic<uint32_t> armed;  // 1: the realm sleeps, ring its doorbell
  std::atomic<uint32_t> dirty;              // bit s: mailbox s has messages; bit 16 + s: reclaim list s has slots
  alignas(64) std::atomic<uint64_t> free_replies;  // first free, as number + 1 | count of pops << 32
  std::atomic<uint32_t> replies_issued;            // the rest were never taken
  alignas(64) std::atomic<uint32_t> names_changed;  // futex
  // The realm whose answer the realm's own thread waits for; its own id: it waits for something that haft does not know.
  // Above kMarkShift a count of the changes: who reads the same word twice knows that it held meanwhile.
  std::atomic<uint64_t> blocked_on;
  std::atomic<uint64_t> acceptor;  // the handle of the object that accepts moved ones, or HAFT_NULL
  alignas(64) std::atomic<uint32_t> event_waiters;  // so many wait in haft_wait: events are counted only for them
  std::atomic<uint32_t> given_up;                   // callers that left while a promise was to answer them
  std::atomic<uint32_t> script_waits;               // JavaScript waits for events: ring for those that others cause
  std::atomic<uint32_t> events_changed;             // futex
  std::atomic<uint32_t> event_counts[kEvents];
  alignas(64) std::atomic<uint32_t> host_done;  // the call of the host that ended last, as number + 1
  std::atomic<uint32_t> serving;                // Serving; futex: the own thread waits in C and handles messages
  std::atomic<uint32_t> signalled;              // haft_signal was called since the own thread last looked
  alignas(64) std::atomic<uint32_t> host_tail;  // of host_queue: written by the own thread
  std::atomic<uint32_t> host_changed;           // futex: of the threads that wait in haft_serve for calls of the host
  alignas(64) std::atomic<uint32_t> host_head;
  std::atomic<uint32_t> host_servers;  // so many threads wait there
  std::atomic<uint32_t> host_signals;  // how often haft_signal was called
  struct alignas(64) ReclaimList {
    std::atomic<uint64_t> first;  // as index + 1
  } reclaim[kShards];
  alignas(64) std::atomic<uint64_t> heap_pages[kHeapBytes / kHeapPageBytes / 64];  // a bit a page: taken
  alignas(64) int32_t exchange[kExchangeWords];
  alignas(64) Cell direct[kMessageCells];  // the message of a call on the realm's own thread
  Reply direct_reply;
  Reply replies[kReplies];
  Ring rings[kShards];
  // From here on JavaScript does not see it.
  Name names[kNames];
  std::atomic<uint64_t> breaker_until[kKinds];  // nanoseconds of the monotonic clock: posts and calls are refused so long
  std::atomic<uint32_t> next_reply[kReplies];  // free list, as number + 1; apart from the replies' lines
  // Answers to calls of another process that nobody there waits for: that has to complete them.
  std::atomic<uint32_t> answered;  // the latest, as number + 1
  std::atomic<uint32_t> next_answered[kReplies];  // 0: it is not in that list
  std::atomic<uint32_t> host_queue[kHostCalls];  // tokens
  HostCall host_calls[kHostCalls];
};

// ---- Kinds ------------------------------------------------------------------------------------------------

constexpr uint32_t kKindNameBytes = 160;
enum KindReady : uint32_t {
  kReady = 1,
  kHasBreaker = 2  // some realm's breaker has been open: look there
};
constexpr unsigned kDefinedShift = 2;  // of Kind::ready: above it the number of its latest definition
struct Kind {
  std::atomic<uint64_t> key;  // hash of name and fingerprint, 0: none; claims the entry
  std::atomic<uint64_t> fingerprint;
  std::atomic<uint32_t> ready;  // KindReady
  std::atomic<uint16_t> name_length;
  std::atomic<uint16_t> ops;    // how many
  std::atomic<uint32_t> text;   // offset in Arena::text of the ops' names, then of their signatures, each ended by NUL
  std::atomic<uint32_t> types;  // offset there of an OpTypes for each op
  char name[kKindNameBytes];
};
static_assert(sizeof(Kind) == 192, "three cache lines");

struct OpTypes {  // what its definition says of an op
  uint64_t args;  // haft_type of each, 4 bits
  uint8_t count;  // of args
  uint8_t returns;
  uint8_t known;  // 0: types beyond haft_type, of a trampoline, whose messages are not C's to make
  uint8_t unused[5];
};
static_assert(sizeof(OpTypes) == 16, "Arena::text keeps them aligned");

// ---- The arena ----------------------------------------------------------------------------------------------

constexpr uint32_t kTextBytes = 4u << 20;
// Blocks that were issued and have no realm now; no realm has these ids.
constexpr uint64_t kBlockOrphan = 1;  // its realm is closed
constexpr uint64_t kBlockSpare = 2;   // its realm gave it back: its handles are stale

struct Arena {
  uint64_t magic;
  uint64_t layout;  // hash of the offsets: two builds that differ do not share an arena
  uint64_t secret;  // makes first generations (P7)
  uint32_t block_base;  // blocks are numbered from here (P7)
  uint32_t shared;      // 1: futexes are between processes (P30)
  std::atomic<uint32_t> blocks_issued;
  std::atomic<uint32_t> orphans;      // a hint: about so many blocks wait for adoption, spare ones too
  std::atomic<uint32_t> realms_used;  // so many realms have opened at some time: the rest are not committed (P8)
  std::atomic<uint32_t> text_used;
  std::atomic<uint32_t> definitions;  // of kinds, those of the same again too
  std::atomic<uint32_t> answers;  // futex: changes when a process has answered a call of another that nobody waits for
  alignas(64) std::atomic<uint64_t> directory[kBlocks];  // 0: never issued; kBlockOrphan; else the realm's id
  alignas(64) Kind kinds[kKinds];
  alignas(8) char text[kTextBytes];
  alignas(4096) Realm realms[kRealms];
  // Slots first touched when their block is given out (P8), heaps when their realm opens.
  alignas(4096) Slot slots[1ull << kIndexBits];
  alignas(4096) unsigned char heaps[kRealms][kHeapBytes];
};

// Words of Realm::exchange, where the addon's functions have arguments and results instead of Node-API values.
constexpr uint32_t kExchangeHandle = 0;  // two words: a double
constexpr uint32_t kExchangeStatus = 2;
constexpr uint32_t kExchangeFlag = 3;
constexpr uint32_t kExchangeNumber = 4;   // two words: a double
constexpr uint32_t kExchangeThrown = 6;   // 1: an exception is on its way through C on the realm's own thread
constexpr uint32_t kExchangeCalled = 7;   // 1: the message in Realm::direct is to be run, by koffi's callback
constexpr uint32_t kExchangeMisuses = 8;  // reports of misused trampolines that JavaScript has handled
constexpr uint32_t kExchangeList = 16;    // indexes of slots, up to kExchangeWake
constexpr uint32_t kExchangeWake = 1024;  // numbers of replies, up to the end

// What JavaScript knows of the layout, in bytes or plain numbers. X(name, value)
#define HAFT_LAYOUT_MAP(X)                                        \
  X(VERSION_MAJOR, HAFT_VERSION_MAJOR)                            \
  X(VERSION_MINOR, HAFT_VERSION_MINOR)                            \
  X(SHARDS, kShards)                                              \
  X(BLOCK_BITS, kBlockBits)                                       \
  X(BLOCK_SLOTS, kBlockSlots)                                     \
  X(RING_CELLS, kRingCells)                                       \
  X(RING_BYTES, sizeof(Ring))                                     \
  X(REALM_BYTES, offsetof(Realm, names))                          \
  X(ARMED, offsetof(Realm, armed))                                \
  X(DIRTY, offsetof(Realm, dirty))                                \
  X(EXCHANGE, offsetof(Realm, exchange))                          \
  X(EXCHANGE_WORDS, kExchangeWords)                               \
  X(EXCHANGE_HANDLE, kExchangeHandle)                             \
  X(EXCHANGE_STATUS, kExchangeStatus)                             \
  X(EXCHANGE_FLAG, kExchangeFlag)                                 \
  X(EXCHANGE_NUMBER, kExchangeNumber)                             \
  X(EXCHANGE_THROWN, kExchangeThrown)                             \
  X(EXCHANGE_CALLED, kExchangeCalled)                             \
  X(EXCHANGE_MISUSES, kExchangeMisuses)                           \
  X(EXCHANGE_LIST, kExchangeList)                                 \
  X(EXCHANGE_WAKE, kExchangeWake)                                 \
  X(DIRECT, offsetof(Realm, direct))                              \
  X(DIRECT_REPLY, offsetof(Realm, direct_reply))                  \
  X(REQUEST_SERVE, kServe)                                        \
  X(REPLIES, offsetof(Realm, replies))                            \
  X(REPLY_BYTES, sizeof(Reply))                                   \
  X(REPLY_SLEEPER, offsetof(Reply, sleeper))                      \
  X(REPLY_STATUS, offsetof(Reply, status))                        \
  X(REPLY_TYPE, offsetof(Reply, type))                            \
  X(REPLY_VALUE, offsetof(Reply, value))                          \
  X(REPLY_LENGTH, offsetof(Reply, length))                        \
  X(REPLY_IN_HEAP, offsetof(Reply, in_heap))                      \
  X(REPLY_TEXT, offsetof(Reply, text))                            \
  X(REPLY_INLINE_BYTES, kReplyInlineBytes)                        \
  X(REPLY_NUMBER_BITS, kReplyNumberBits)                          \
  X(RINGS, offsetof(Realm, rings))                                \
  X(RING_TAIL, offsetof(Ring, tail))                              \
  X(RING_HEAD, offsetof(Ring, head))                              \
  X(RING_SPACE_WANTED, offsetof(Ring, space_wanted))              \
  X(RING_FIRST_CELL, offsetof(Ring, cells))                       \
  X(RING_DELIVERED, offsetof(Ring, counters.delivered))           \
  X(RING_DECLINED, offsetof(Ring, counters.declined))             \
  X(RING_WAITING, offsetof(Ring, counters.waiting))               \
  X(RING_FILL, offsetof(Ring, counters.fill))                     \
  X(EVENT_WAITERS, offsetof(Realm, event_waiters))                \
  X(SCRIPT_WAITS, offsetof(Realm, script_waits))                  \
  X(EVENT_COUNTS, offsetof(Realm, event_counts))                  \
  X(CELL_BYTES, kCellBytes)                                       \
  X(CELL_OP, offsetof(Cell, op))                                  \
  X(CELL_HANDLE, offsetof(Cell, handle))                          \
  X(CELL_ARGS, offsetof(Cell, args))                              \
  X(CELL_SHAPE, offsetof(Cell, shape))                            \
  X(CELL_REPLY, offsetof(Cell, reply))                            \
  X(HEAP_TAIL_CHUNK, offsetof(HeapTail, chunk))                   \
  X(INLINE_ARGS, kInlineArgs)                                     \
  X(SHAPE_COUNT_SHIFT, kShapeCountShift)                          \
  X(SHAPE_CELLS_SHIFT, kShapeCellsShift)                          \
  X(SHAPE_HEAP_BIT, kShapeHeapBit)                                \
  X(WORD_GENERATION_SHIFT, kWordGenerationShift - 32)             \
  X(WORD_STATE_SHIFT, kStateShift - 32)                           \
  X(STATE_LIVE, kLive)                                            \
  X(STATE_COLLECTED, kCollected)                                  \
  X(REPLY_SEQUENCE_SHIFT, kReplySequenceShift)                    \
  X(REPLY_SEQUENCE_MASK, kReplySequenceMask)                      \
  X(REPLY_STARTED, kStarted)                                      \
  X(REPLY_DONE, kDone)                                            \
  X(REPLY_LATER, kLater)                                          \
  X(GIVEN_UP, offsetof(Realm, given_up))                          \
  X(HOST_DONE, offsetof(Realm, host_done))                        \
  X(HOST_PROMISE, kHostPromise)                                   \
  X(HOST_SYNC, kHostSync)                                         \
  X(HOST_SYNC_DEAF, kHostSyncDeaf)                                \
  X(WIRE_U64, kWireU64)                                           \
  X(WIRE_TEXT, kWireText)                                         \
  X(WIRE_I8, kWireI8)                                             \
  X(WIRE_U8, kWireU8)                                             \
  X(WIRE_I16, kWireI16)                                           \
  X(WIRE_U16, kWireU16)                                           \
  X(WIRE_F32, kWireF32)                                           \
  X(ASCII_FLAG, kAsciiFlag)                                       \
  X(KIND_SHIFT, kKindShift)                                       \
  X(KINDS, kKinds)                                                \
  X(KIND_NAME_BYTES, kKindNameBytes)                              \
  X(NAME_BYTES, kNameBytes)                                       \
  X(NAMES, kNames)                                                \
  X(ARGS_MAX, HAFT_ARGS_MAX)                                      \
  X(PAYLOAD_MAX, HAFT_PAYLOAD_MAX)                                \
  X(REFERENCES_MAX, kReferenceMask)

}  // namespace haft
