"""Makes inception.h5: features and metrics of random images, according to PyTorch's ports.

Regenerate with a Python that has torch, pytorch-fid, torch-fidelity, clean-fid, scipy and h5py (two
minutes, 2 GB):

    python tests/golden/make_inception_golden.py [--output inception.h5]

No weight file is needed: both sides draw the weights. Let u(site) be the uniform stream of
framework/random/philox.h with seed 1, step 0, row 0 and the element's index in the whole tensor
(PyTorch's layout, row-major), and s = 2 u - 1, rounded to f32 after the arithmetic:

    NAME.conv.weight      s * sqrt(6 / fan_in)          (He et al. 2015: activations keep their size)
    NAME.bn.weight        1 + 0.1 s
    NAME.bn.bias          0.1 s
    NAME.bn.running_mean  0.1 s
    NAME.bn.running_var   1 + 0.5 s
    fc.weight             s * sqrt(12 / 2048)
    images/SIDE/SET       floor(256 u), u8 (N, SIDE, SIDE, 3), low-passed as `images` says

inception.h5:

    features/VARIANT      float32 of torch-fidelity (tf), pytorch-fid (pytorch) and clean-fid's
      pool, logits, spatial   preprocessing (clean); logits and spatial for tf alone
    metrics               attributes: what torch-fidelity's own functions make of the tf features of
                          the two sets, in double precision
    statistics            the same of features of full rank, drawn as x = s("statistics/SET"),
                          300 x 48; the second set is 1.1 x + 0.05, and 3 times it the logits
"""

import argparse
import pathlib
import types

import h5py
import numpy as np
import philox
import scipy.linalg
import torch

HERE = pathlib.Path(__file__).resolve().parent
SEED = 1
COUNT = 12  # images a set


def signed(site, shape):
    return 2 * philox.uniform(SEED, site, shape) - 1


def draw_state(module):
    """The state dictionary of a port with the weights of the formula above."""
    state = {}
    for name, old in module.state_dict().items():
        shape = tuple(old.shape)
        if name.endswith("num_batches_tracked"):
            value = np.zeros(shape, np.int64)
        elif name.endswith("conv.weight"):
            value = signed(name, shape) * np.sqrt(6 / np.prod(shape[1:]))
        elif name == "fc.weight":
            value = signed(name, shape) * np.sqrt(12 / shape[1])
        elif name.endswith("running_var"):
            value = 1 + 0.5 * signed(name, shape)
        elif name.endswith("bn.weight"):
            value = 1 + 0.1 * signed(name, shape)
        else:
            value = 0.1 * signed(name, shape)
        state[name] = torch.from_numpy(np.asarray(value)).to(old.dtype)
    return state


def images(name, count, side):
    """Noise on a coarse grid, enlarged, beside noise of single pixels: images that differ."""
    fine = philox.uniform(SEED, f"images/{name}/fine", (count, side, side, 3))
    coarse = philox.uniform(SEED, f"images/{name}/coarse", (count, 4, 4, 3))
    block = side // 4
    coarse = coarse.repeat(block, axis=1).repeat(block, axis=2)
    return np.floor(256 * (0.75 * coarse + 0.25 * fine)).astype(np.uint8)


def torch_fidelity_network():
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Network

    # Its constructor wants a file: one that holds what it would have loaded.
    from torchvision.models import Inception3

    plain = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    path = HERE / "inception_weights.tmp"
    torch.save(draw_state(plain), path)
    try:
        return Network("golden", ["2048", "logits_unbiased"], str(path))
    finally:
        path.unlink()


def pytorch_fid_network():
    from pytorch_fid import inception

    # The constructor downloads its weights; ours are given instead.
    inception.load_state_dict_from_url = lambda *_, **__: draw_state(
        inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    )
    return inception.InceptionV3([3]).eval()


def tf_features(network, pixels):
    spatial = []
    hook = network.Mixed_6d.branch1x1.register_forward_hook(
        lambda _, __, y: spatial.append(y[:, :7].permute(0, 2, 3, 1).numpy())
    )
    with torch.no_grad():
        pool, logits = network(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    hook.remove()
    return {"pool": pool.numpy(), "logits": logits.numpy(), "spatial": spatial[0]}


def pytorch_features(network, pixels):
    with torch.no_grad():
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        return {"pool": network(x)[0].flatten(1).numpy()}


def clean_features(network, pixels):
    from cleanfid.resize import build_resizer

    resize = build_resizer("clean")
    x = torch.from_numpy(np.stack([resize(p) for p in pixels])).permute(0, 3, 1, 2)
    with torch.no_grad():  # as its InceptionV3W: (x - 128) / 128
        return {"pool": network.body((x - 128) / 128).numpy()}


def body(network):
    """torch-fidelity's network behind its own resizing."""
    steps = """Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 MaxPool_1 Conv2d_3b_1x1 Conv2d_4a_3x3
        MaxPool_2 Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e Mixed_7a
        Mixed_7b Mixed_7c AvgPool""".split()

    def run(x):
        for step in steps:
            x = getattr(network, step)(x)
        return torch.flatten(x, 1)

    return run


def metrics_of(first, second, logits=None):
    """first is generated, second real; float64 throughout."""
    from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

    a, b = (torch.from_numpy(f.astype(np.float64)) for f in (first, second))
    size = len(first)  # the subset is the whole set: no random choice is left
    kid = metric_kid.kid_features_to_metric(
        a, b, kid_subsets=1, kid_subset_size=size, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, rng_seed=1, verbose=False,
    )
    prc = metric_prc.prc_features_to_metric(
        a, b, prc_neighborhood=3, prc_batch_size=100, save_cpu_ram=False, verbose=False
    )
    stats = [metric_fid.fid_features_to_statistics(x) for x in (a, b)]
    result = {
        "kid": kid["kernel_inception_distance_mean"],
        "precision": prc["precision"],
        "recall": prc["recall"],
    }
    if size > a.shape[1]:  # the eigenvalues of a product of singular matrices are noise
        result["fid"] = metric_fid.fid_statistics_to_metric(*stats, False)["frechet_inception_distance"]
    else:
        # sqrt of the eigenvalues of S1 S2 = squared singular values of A B^T / (n - 1), exactly.
        centred = [x.numpy() - x.numpy().mean(0) for x in (a, b)]
        trace = scipy.linalg.svdvals(centred[0] @ centred[1].T).sum() / (size - 1)
        (mu1, s1), (mu2, s2) = ((s["mu"], s["sigma"]) for s in stats)
        result["fid"] = ((mu1 - mu2) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * trace
    if logits is not None:
        isc = metric_isc.isc_features_to_metric(torch.from_numpy(logits), splits=3, shuffle=False)
        result["is"] = isc["inception_score_mean"]
        result["is_std"] = isc["inception_score_std"]
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", default=HERE / "inception.h5")
    output = parser.parse_args().output
    philox.check_known_answers()
    network = torch_fidelity_network()
    network.body = body(network)
    real, fake = (images(name, COUNT, 32) for name in ("real", "fake"))
    tf_real, tf_fake = tf_features(network, real), tf_features(network, fake)
    features = {
        "tf": types.SimpleNamespace(**{k: np.concatenate([tf_real[k], tf_fake[k]]) for k in tf_real}),
        "pytorch": types.SimpleNamespace(**pytorch_features(pytorch_fid_network(), real[:3])),
        "clean": types.SimpleNamespace(**clean_features(network, real[:3])),
        # Larger than the network's input: an antialiasing filter of many taps.
        "clean_400": types.SimpleNamespace(**clean_features(network, images("large", 1, 400))),
        "tf_400": types.SimpleNamespace(pool=tf_features(network, images("large", 1, 400))["pool"]),
    }
    x = signed("statistics/real", (300, 48)).astype(np.float32)
    y = (1.1 * signed("statistics/fake", (300, 48)) + 0.05).astype(np.float32)
    with h5py.File(output, "w") as file:
        for variant, arrays in features.items():
            for layer, values in vars(arrays).items():
                if layer == "spatial":
                    values = values[:2]
                file.create_dataset(f"features/{variant}/{layer}", data=values.astype(np.float32))
        for group, values in {
            "metrics": metrics_of(tf_fake["pool"], tf_real["pool"], tf_fake["logits"]),
            "statistics": metrics_of(y, x, 3 * y),
        }.items():
            file.create_group(group).attrs.update({k: float(v) for k, v in values.items()})
            print(group, values)
        spatial = [t["spatial"].reshape(COUNT, -1) for t in (tf_fake, tf_real)]
        file["metrics"].attrs["sfid"] = float(metrics_of(*spatial)["fid"])
    for variant, arrays in features.items():
        pool = arrays.pool
        print(variant, pool.mean(), pool.std(0).mean(), pool.min(), pool.max())


if __name__ == "__main__":
    main()
