// What a program that embeds and its child say to each other besides the arena: text messages over a pair of sockets that
// keep their bounds. The descriptors that the child is given, and the words; the program's side is native/embed, the
// child's native/attached.cc and src/embed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace haft {

// Descriptors of the child, as src/embed and the addon know them.
enum LinkDescriptor : int { kLinkArena = 3, kLinkSocket = 4, kLinkHost = 5 };  // kLinkHost: a pidfd

// The first byte of a message. From the child:
constexpr char kLinkOpen = 'O';    // asks for a realm
constexpr char kLinkClosed = 'C';  // id, space, "1" if none of its threads is at work in it any more
constexpr char kLinkReady = 'R';   // the logic is ready
constexpr char kLinkFailed = 'F';  // status, newline, text: it will not be. Of an exception: name NUL message NUL stack
// To the child:
constexpr char kLinkRealm = 'A';    // id, with the descriptor of its doorbell
constexpr char kLinkRefused = 'N';  // status: no realm
constexpr char kLinkStop = 'S';     // end in order

constexpr size_t kLinkBytes = 16 * 1024;  // of the longest message

// Without waiting, and without SIGPIPE (P29). `descriptor`: goes with it, unless it is negative. False: nobody is there.
bool link_send(int socket, const char *bytes, size_t length, int descriptor = -1);

// Bytes of the next message, with a NUL behind it; 0: the other side is gone; -1: none is there. `bytes` has room for
// kLinkBytes + 1. `*descriptor`: what came with it, or -1.
long link_receive(int socket, char *bytes, int *descriptor);

}  // namespace haft
