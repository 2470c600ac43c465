import math

import network
import tensorflow as tf


def test_the_network_has_three_layers():
    assert [type(layer).__name__ for layer in network.make().layers[-3:]] == ["Dense", "Dropout", "Dense"]


def test_the_data_fits_together():
    x, y = network.data()
    assert (x.shape, y.shape) == ((8, 2), (8, 1))


def test_training_gives_a_loss_for_each_epoch():
    assert len(network.train(network.make(), epochs=2)) == 2


def test_the_loss_is_a_number():
    assert all(not math.isnan(loss) for loss in network.train(network.make()))


def test_dropout_drops_in_training():
    # With every unit dropped but one in a million, only the last bias learns: the first weights must stand still.
    model = network.make(rate=0.999999)
    network.train(model, epochs=1)
    before = model.layers[0].get_weights()[0].copy()
    network.train(model, epochs=3)
    assert abs(model.layers[0].get_weights()[0] - before).max() == 0.0


def test_a_step_can_be_compiled():
    assert callable(tf.function(lambda x: x + 1))
