#pragma once

#include <cstddef>
#include <cstdint>

#include "device_kernels/xxh3.hpp"
#include "kernels/content_digest.hpp"

/// The kernel of digest_launches.hpp.
namespace hawser::device_kernels {

/// memory: the content, its digests. A block digests one slice.
///
/// What a round (1 KiB) adds to the eight accumulators does not depend on them. So the threads sum up many rounds at
/// once. Eight threads then take one round after the other: they add its sums and scramble.
struct DigestSlices {
  static constexpr const char* kName = "hawser_digest_slices";
  struct Parameters {
    std::uint64_t bytes;
    std::uint64_t seed;
  };
  using Word = xxh3::Word;
  static constexpr unsigned kLanes = 8;
  static constexpr unsigned kWordBytes = sizeof(Word);
  static constexpr unsigned kStripeBytes = kLanes * kWordBytes;
  static constexpr unsigned kStripes = (xxh3::kSecretBytes - kStripeBytes) / kWordBytes;  ///< Of a round.
  static constexpr unsigned kRoundBytes = kStripes * kStripeBytes;
  /// A thread sums up two lanes of a round.
  static constexpr unsigned kThreadsOfRound = kLanes / 2;
  static constexpr unsigned kRoundsAtOnce = device::kKernelThreads / kThreadsOfRound;
  struct Shared {
    Word secret[xxh3::kSecretWords];
    /// Of some rounds, and of those that come after them.
    Word sums[2][kRoundsAtOnce][kLanes];
    Word accumulators[kLanes];
  };

  HAWSER_HOST_DEVICE static void run(const device::KernelArguments& arguments, unsigned block, Shared& shared) {
    const auto& given = parameters_of<Parameters>(arguments);
    const xxh3::Input slice{arguments.memory[0] + block * kDigestSliceBytes, slice_bytes(given.bytes, block)};
    const Out<Word> digests{arguments.memory[1] + block * kDigestBytes};
    if (slice.bytes > xxh3::kShortBytesMax) return digest_long(slice, given.seed, digests, shared);
    each_thread([&](unsigned thread) {
      if (thread != 0) return;
      const Digest128 digest = xxh3::hash_short(slice, given.seed);
      write(digests, 0, digest.low);
      write(digests, 1, digest.high);
    });
  }

 private:
  HAWSER_HOST_DEVICE static void write(const Out<Word>& digests, unsigned index, Word half) {
    const Word words[1] = {half};
    digests.store(words, index, digests.fits(1));
  }

  HAWSER_HOST_DEVICE static void digest_long(const xxh3::Input& slice, Word seed, const Out<Word>& digests,
                                             Shared& shared) {
    each_thread([&](unsigned thread) {
      if (thread < xxh3::kSecretWords) shared.secret[thread] = xxh3::derived_secret(thread, seed);
      if (thread < kLanes) shared.accumulators[thread] = initial(thread);
    });
    // The last round counts as one that is not full.
    const auto rounds = static_cast<unsigned>((slice.bytes - 1) / kRoundBytes);
    const unsigned turns = (rounds + kRoundsAtOnce - 1) / kRoundsAtOnce;
    for (unsigned turn = 0; turn <= turns; ++turn)
      each_thread([&](unsigned thread) {
        const unsigned round = turn * kRoundsAtOnce + thread / kThreadsOfRound;
        if (round < rounds)
          sum_round(slice, round, thread % kThreadsOfRound,
                    shared.sums[turn % 2][thread / kThreadsOfRound], shared.secret);
        if (turn == 0 || thread >= kLanes) return;
        const unsigned before = (turn - 1) * kRoundsAtOnce;
        const unsigned summed = rounds - before < kRoundsAtOnce ? rounds - before : kRoundsAtOnce;
        take_rounds(shared.sums[(turn - 1) % 2], summed, thread, shared);
      });
    each_thread([&](unsigned thread) {
      if (thread < kLanes) take_last_round(slice, rounds, thread, shared);
    });
    each_thread([&](unsigned thread) {
      if (thread == 0) write(digests, 0, merged(slice.bytes * xxh3::kPrime64_1, 11, shared));
      if (thread == 1) write(digests, 1, merged(~(slice.bytes * xxh3::kPrime64_2), xxh3::kSecretBytes - 75, shared));
    });
  }

  HAWSER_HOST_DEVICE static Word initial(unsigned lane) {
    switch (lane) {
      case 0: return xxh3::kPrime32_3;
      case 1: return xxh3::kPrime64_1;
      case 2: return xxh3::kPrime64_2;
      case 3: return xxh3::kPrime64_3;
      case 4: return xxh3::kPrime64_4;
      case 5: return xxh3::kPrime32_2;
      case 6: return xxh3::kPrime64_5;
      default: return xxh3::kPrime32_1;
    }
  }
  /// What a lane adds to its own accumulator; to that of its neighbour it adds the word itself.
  HAWSER_HOST_DEVICE static Word product(Word word, Word secret) {
    const Word value = word ^ secret;
    return Word{xxh3::lower(value)} * xxh3::upper(value);
  }

  /// Of two neighbouring lanes.
  HAWSER_HOST_DEVICE static void sum_round(const xxh3::Input& slice, unsigned round, unsigned pair,
                                           Word (&sums)[kLanes], const Word* secret) {
    const In<Word> words{slice.at + round * kRoundBytes};
    const bool fits = words.fits(2);
    Word both[kStripes][2];
    for (unsigned stripe = 0; stripe < kStripes; ++stripe)
      words.load(both[stripe], stripe * kLanes + 2 * pair, fits);
    Word even = 0;
    Word odd = 0;
    for (unsigned stripe = 0; stripe < kStripes; ++stripe) {
      even += both[stripe][1] + product(both[stripe][0], secret[stripe + 2 * pair]);
      odd += both[stripe][0] + product(both[stripe][1], secret[stripe + 2 * pair + 1]);
    }
    sums[2 * pair] = even;
    sums[2 * pair + 1] = odd;
  }

  HAWSER_HOST_DEVICE static void take_rounds(const Word (&sums)[kRoundsAtOnce][kLanes], unsigned rounds, unsigned lane,
                                             Shared& shared) {
    const Word secret = shared.secret[xxh3::kSecretWords - kLanes + lane];
    Word accumulator = shared.accumulators[lane];
    for (unsigned round = 0; round < rounds; ++round) {
      accumulator += sums[round][lane];
      accumulator = (accumulator ^ (accumulator >> 47) ^ secret) * xxh3::kPrime32_1;
    }
    shared.accumulators[lane] = accumulator;
  }

  /// All stripes that are left but the last, and then the last 64 bytes, which may overlap with them.
  HAWSER_HOST_DEVICE static void take_last_round(const xxh3::Input& slice, unsigned rounds, unsigned lane,
                                                 Shared& shared) {
    const std::uint64_t begin = std::uint64_t{rounds} * kRoundBytes;
    const auto stripes = static_cast<unsigned>((slice.bytes - begin - 1) / kStripeBytes);
    Word accumulator = shared.accumulators[lane];
    for (unsigned stripe = 0; stripe < stripes; ++stripe)
      accumulator += lane_sum(slice, begin + stripe * kStripeBytes, lane, shared.secret[stripe + lane]);
    const Word last = secret_of(shared, xxh3::kSecretBytes - 71 + lane * kWordBytes);
    shared.accumulators[lane] = accumulator + lane_sum(slice, slice.bytes - kStripeBytes, lane, last);
  }
  HAWSER_HOST_DEVICE static Word lane_sum(const xxh3::Input& slice, std::uint64_t stripe, unsigned lane, Word secret) {
    return slice.number<Word>(stripe + (lane ^ 1) * kWordBytes) +
           product(slice.number<Word>(stripe + lane * kWordBytes), secret);
  }
  HAWSER_HOST_DEVICE static Word secret_of(const Shared& shared, unsigned offset) {
    return xxh3::secret_at(offset, [&shared](unsigned index) { return shared.secret[index]; });
  }

  HAWSER_HOST_DEVICE static Word merged(Word initial_value, unsigned secret, const Shared& shared) {
    Word result = initial_value;
    for (unsigned lane = 0; lane < kLanes; lane += 2)
      result += xxh3::folded_product(
          shared.accumulators[lane] ^ secret_of(shared, secret + lane * kWordBytes),
          shared.accumulators[lane + 1] ^ secret_of(shared, secret + (lane + 1) * kWordBytes));
    return xxh3::avalanche(result);
  }
};

}  // namespace hawser::device_kernels
