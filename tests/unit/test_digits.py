"""The digits: shapes, range, a split that never moves and never overlaps."""

import pytest
import torch

from nbhelpers.data.digits import COUNT, load_digits


def test_shapes_range_and_labels():
    digits = load_digits(dtype=torch.float64)
    assert digits.train_images.shape == (COUNT - 500, 64)
    assert digits.test_images.shape == (500, 64)
    assert digits.train_images.dtype == torch.float64
    for images, labels in [
        (digits.train_images, digits.train_labels),
        (digits.test_images, digits.test_labels),
    ]:
        assert images.min() == 0 and images.max() == 1
        assert labels.dtype == torch.int64 and sorted(set(labels.tolist())) == list(range(10))
        assert labels.bincount().min() > 0.07 * len(labels)  # each class is well represented


def test_split_is_fixed_and_disjoint():
    torch.manual_seed(1)
    first = load_digits(dtype=torch.float64)
    torch.manual_seed(2)
    second = load_digits(dtype=torch.float64)
    assert torch.equal(first.train_images, second.train_images)
    assert torch.equal(first.test_labels, second.test_labels)
    both = torch.cat([first.train_images, first.test_images])
    assert len(both) == COUNT
    from sklearn.datasets import load_digits as load

    expected = torch.tensor(load().data / 16.0)
    assert torch.equal(both.sum(0), expected.sum(0)) or torch.allclose(both.sum(0), expected.sum(0))
    assert len(torch.unique(both, dim=0)) == len(torch.unique(expected, dim=0))


def test_size_of_the_test_part():
    assert load_digits(test=100).test_images.shape == (100, 64)
    for test in (0, COUNT):
        with pytest.raises(ValueError, match="1797"):
            load_digits(test=test)


def test_centred_by_the_training_mean_only():
    plain, centred = load_digits(dtype=torch.float64), load_digits(dtype=torch.float64, centred=True)
    torch.testing.assert_close(centred.train_images.mean(0), torch.zeros(64, dtype=torch.float64))
    torch.testing.assert_close(centred.test_images, plain.test_images - plain.train_images.mean(0))
    torch.testing.assert_close(centred.mean_image, plain.mean_image)


def test_default_dtype():
    assert load_digits().train_images.dtype == torch.get_default_dtype()
