#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every bound on what the network may ask of us, in one place.
namespace hawser::limits {

inline constexpr std::uint32_t kGroupSizeMax = 1024;
inline constexpr std::size_t kNameBytesMax = 63;
/// Of an operator's command: a name, or a key in hexadecimal digits.
inline constexpr std::size_t kOperatorArgumentBytesMax = 64;
inline constexpr std::size_t kHostBytesMax = 255;
/// How many other peers one may have told to dial it.
inline constexpr double kBothDialsBurst = 256;
inline constexpr double kBothDialsPerSecond = 16;
/// Addresses of its own interfaces that a peer tells of.
inline constexpr std::size_t kWaysMax = 8;
inline constexpr std::size_t kSentenceBytesMax = 1024;
/// One control message on the wire: a full view of kGroupSizeMax members fits with room to spare.
inline constexpr std::size_t kControlMessageBytesMax = 1 << 20;
/// Payload of one data frame.
inline constexpr std::size_t kFramePayloadBytesMax = 1 << 20;
/// Chunks that a peer may send to one that has not called the collective yet, per link; and to all of a group together,
/// if that is not less than kEagerBytesLeast for each.
inline constexpr std::size_t kEagerBytesMax = 4 << 20;
inline constexpr std::size_t kEagerBytesLeast = 1 << 20;
inline constexpr std::size_t kEagerBytesOfAll = 32 << 20;
inline constexpr std::size_t kEagerFramesMax = 4096;
/// Messages between two members, one way: announced and not received yet, and the bytes of those among them that are
/// sent before the receiver asks for them; the most of one such message.
inline constexpr std::size_t kMessagesWaitingMax = 1024;
inline constexpr std::size_t kMessageEagerBytesOfAll = 1 << 20;
inline constexpr std::size_t kMessageEagerBytesMax = 64 << 10;
/// The same of a peer that is no member here, or not yet: its word that it is one comes from the master.
inline constexpr std::size_t kMessagesOfStrangerMax = 64;
inline constexpr std::size_t kMessageBytesOfStrangerMax = kMessageEagerBytesMax;
/// Tags of messages from one member to another: both sides count those of each.
inline constexpr std::size_t kMessageTagsMax = 65'536;
/// Messages that one peer may be sending and receiving.
inline constexpr std::size_t kMessagesInFlightMax = 65'536;
/// Former members whose last messages are kept until they are received.
inline constexpr std::size_t kFormerSendersMax = 16;
/// In flight (sent, not yet acknowledged) per link.
inline constexpr std::size_t kInFlightBytesMax = 8 << 20;
inline constexpr std::uint32_t kConnectionsPerLinkMax = 64;
/// Threads of one communicator beside the one that runs its sockets and timers.
inline constexpr unsigned kLanesMax = 63;
inline constexpr std::uint32_t kSocketBufferBytesMax = 1 << 30;
/// Collectives that one peer may have in flight.
inline constexpr std::size_t kOpsInFlightMax = 4096;
/// Outcomes that peers and master remember for members that were away when they were told.
inline constexpr std::size_t kOutcomesRememberedMax = 4096;
/// Views that a member has started, as far as it tells after a takeover.
inline constexpr std::size_t kViewsRememberedMax = 64;
/// Connections that have not yet said who they are, per port; and of one address (IPv6: of one /64).
inline constexpr std::size_t kStrangersMax = 256;
inline constexpr std::size_t kStrangersPerSourceMax = 64;
/// Pairs of other members whose connections one member joins end to end, because they cannot reach each other.
inline constexpr std::size_t kJoinedPairsMax = 64;
/// Connections to a peer's port: of one address and no link yet; at once, and in a second from then on.
inline constexpr std::size_t kHandshakesPerSourceMax = 128;
inline constexpr double kHandshakesBurst = 512;
inline constexpr double kHandshakesPerSecond = 128;
/// Connections that a port with keys takes of all addresses together, at once and in a second from then on: a handshake
/// costs half a millisecond of a core, before anybody has proven anything. Whoever has opened others lately
/// leaves half of it to the rest.
inline constexpr double kHandshakesOfAllBurst = 2048;
inline constexpr double kHandshakesOfAllPerSecond = 128;
/// Connections that are no member's, of one address.
inline constexpr std::size_t kAnonymousPerSourceMax = 256;
/// Connections that one address may open at once, and in a second from then on.
inline constexpr double kOpensBurst = 256;
inline constexpr double kOpensPerSecond = 64;
/// Of what many addresses share, one that holds so much may have one more as long as there is room for twice as much:
/// then an address that asks for little finds room, however many others ask for all that they can get.
constexpr std::size_t share_of_one(std::size_t most_of_one, std::size_t most_of_all, std::size_t taken) {
  const std::size_t room = taken < most_of_all ? most_of_all - taken : 0;
  return room < most_of_one ? room : most_of_one;
}
/// Peers that wait for admission, those of one address, and former members that come back to a restarted master.
inline constexpr std::size_t kPendingPeersMax = 1536;
inline constexpr std::size_t kPendingPerSourceMax = 256;
inline constexpr std::size_t kClaimsMax = 2048;
inline constexpr std::size_t kClaimsPerSourceMax = 512;
/// Different views that former members of one group may present to a restarted master.
inline constexpr std::size_t kViewsPresentedMax = 8;
/// Former views of which a view must keep its part, and terms of masters: beyond any that failovers lead to.
inline constexpr std::size_t kQuorumsMax = 8;
inline constexpr std::uint64_t kTermMax = std::uint64_t{1} << 29;
/// Masters of one run.
inline constexpr std::size_t kMastersMax = 8;
/// Peers of one group that its members open links to beforehand, and those of one address; of these, the ones that have
/// not been reached yet.
inline constexpr std::size_t kVisitorsMax = 256;
inline constexpr std::size_t kVisitorsPerSourceMax = 64;
inline constexpr std::size_t kUnprovenMax = 128;
inline constexpr std::size_t kUnprovenPerSourceMax = 32;
/// Messages before a peer is a member: the longest, and of one that resumes and was asked for its view.
inline constexpr std::size_t kFirstMessageBytesMax = 8 << 10;
inline constexpr std::size_t kNewcomerMessageBytesMax = 16 << 10;
inline constexpr std::size_t kPresentedViewBytesMax = 512 << 10;
/// What members must have alike.
inline constexpr std::size_t kTermsMax = 32;
inline constexpr std::size_t kTermNameBytesMax = 63;
inline constexpr std::size_t kTermValueBytesMax = 127;
/// Groups up to this size tell each other what they measure of their links: it grows with the square.
inline constexpr std::uint32_t kMeasuredGroupMax = 128;
/// Relays of one group: each has a link to every member.
inline constexpr std::size_t kRelaysMax = 8;
inline constexpr std::uint32_t kRelayMemoryMibMax = 1 << 20;
/// Chunks of a call that may go through relays, and of all calls that a relay takes part in at one time: it keeps some
/// 300 bytes for each, whatever a member says that it has called.
inline constexpr std::uint64_t kRelayedChunksMax = 1 << 18;
inline constexpr std::uint64_t kRelayedChunksOfAllMax = 1 << 20;
/// Peers without a straight way that one peer tells of, and bytes of the reason for each: a newcomer's message holds them.
inline constexpr std::size_t kUnreachedToldMax = 40;
inline constexpr std::size_t kUnreachedReasonBytesMax = 300;
/// What one probe of a link may be allowed: to one member, in optimize-topology.
inline constexpr std::uint64_t kProbeBytesLeast = 64 << 10;
inline constexpr std::uint64_t kProbeBytesMax = 1 << 30;
inline constexpr std::chrono::milliseconds kProbeTimeMax{10'000};
/// Told of a run at most when its master is asked for its status; a message of these fits with room to spare.
inline constexpr std::size_t kStatusPeersMax = 2048;
inline constexpr std::size_t kStatusCollectivesMax = 256;
inline constexpr std::size_t kStatusUnreachedMax = 512;
inline constexpr std::size_t kVersionBytesMax = 63;
/// Pairs of members in the measures that are told with a status: four of the largest groups that measure.
inline constexpr std::size_t kStatusPairsMax = std::size_t{4} * kMeasuredGroupMax * kMeasuredGroupMax;
/// Collectives whose attestations a master keeps, and attestations of all of them together (some 300 bytes each);
/// and how many it tells at once.
inline constexpr std::size_t kAttestedCollectivesMax = 1024;
inline constexpr std::size_t kAttestationsKeptMax = 65'536;
inline constexpr std::size_t kAttestationsToldMax = 2048;
/// So often does a master tell its status in a second, all in all and to one address: whoever asks needs no
/// introduction.
inline constexpr double kStatusAnswersPerSecond = 64;
inline constexpr double kStatusAnswersPerSourcePerSecond = 4;
inline constexpr double kStatusAnswersPerSourceBurst = 8;
/// Peers that are admitted together or not at all.
inline constexpr std::uint32_t kPartySizeMax = 1024;

}  // namespace hawser::limits
