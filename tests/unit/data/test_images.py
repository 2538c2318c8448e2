"""Fashion-6k: shapes, range, equal classes, parts that share no image."""

import torch

from nbhelpers.data.images import CLASSES, PER_CLASS, load_fashion


def test_shapes_range_and_labels():
    fashion = load_fashion(dtype=torch.float64)
    for part, count in PER_CLASS.items():
        images, labels = getattr(fashion, f"{part}_images"), getattr(fashion, f"{part}_labels")
        assert images.shape == (10 * count, 784) and images.dtype == torch.float64
        assert images.min() == 0 and images.max() == 1
        assert labels.bincount().tolist() == [count] * len(CLASSES)
    assert load_fashion().train_images.dtype == torch.get_default_dtype()


def test_parts_share_no_image():
    fashion = load_fashion()
    parts = [fashion.train_images, fashion.validation_images, fashion.test_images]
    rows = [{image.numpy().tobytes() for image in part} for part in parts]
    assert not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])


def test_centred_takes_the_mean_of_training_from_every_part():
    plain, centred = load_fashion(dtype=torch.float64), load_fashion(dtype=torch.float64, centred=True)
    assert centred.train_images.mean(0).abs().max() < 1e-12
    assert torch.equal(centred.mean_image, plain.train_images.mean(0))
    assert torch.allclose(centred.test_images + centred.mean_image, plain.test_images)


def test_trousers_look_like_trousers():
    """A rough check that images and labels belong together: the nearest class mean is right for most."""
    fashion = load_fashion()
    means = torch.stack([fashion.train_images[fashion.train_labels == label].mean(0) for label in range(10)])
    guessed = torch.cdist(fashion.test_images, means).argmin(1)
    right = guessed == fashion.test_labels
    assert right.float().mean() > 0.6
    assert right[fashion.test_labels == CLASSES.index("trousers")].float().mean() > 0.8
