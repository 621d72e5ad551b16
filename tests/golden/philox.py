"""framework/random/philox.h in numpy: the same bits and the same uniforms, for golden files.

Philox4x32-10 (Salmon et al. 2011) with counter {quad, row, step, site} and key = seed, low word
first; element i of a row is word i % 4 of quad i / 4; site is the FNV-1a hash of a path. Running
this file checks the vectors that Random123 publishes.
"""

import numpy as np


def philox4x32(counter, key):
    """counter (..., 4), key (2): 32-bit words -> (..., 4) uint32, ten rounds."""
    low_word = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter, np.uint64), -1, 0)
    k0, k1 = (int(k) for k in key)
    for _ in range(10):
        product_0 = c0 * np.uint64(0xD2511F53)
        product_1 = c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            (product_1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            product_1 & low_word,
            (product_0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            product_0 & low_word,
        )
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def random_site(path):
    """32-bit FNV-1a."""
    site = 0x811C9DC5
    for byte in path.encode():
        site = (site ^ byte) * 0x01000193 & 0xFFFFFFFF
    return site


def uniform(seed, path, shape, step=0, row=0):
    """Element i of the flattened result is element i of the row: exact f32 values, as f64."""
    size = int(np.prod(shape))
    counter = np.zeros(((size + 3) // 4, 4), np.uint64)
    counter[:, 0] = np.arange(len(counter))
    counter[:, 1:] = row, step, random_site(path)
    bits = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32)).reshape(-1)[:size]
    return ((bits >> np.uint32(9)) * 2.0**-23 + 2.0**-24).reshape(shape)


def check_known_answers():
    """Random123's kat_vectors for philox4x32, 10 rounds, and FNV-1a's published values."""
    for counter, key, expected in [
        ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ]:
        words = [[int(word, 16) for word in text.split()] for text in (counter, key, expected)]
        assert philox4x32(words[0], words[1]).tolist() == words[2]
    assert random_site("") == 0x811C9DC5 and random_site("foobar") == 0xBF9CF968


if __name__ == "__main__":
    check_known_answers()
    print("known answers hold")
