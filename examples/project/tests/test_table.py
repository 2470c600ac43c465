import pytest
import table


def test_there_are_eight_houses():
    assert len(table.rows()) == 8


def test_every_house_has_three_numbers():
    assert all(len(row) == 3 for row in table.rows())


def test_the_first_house_is_as_in_the_file():
    assert table.rows()[0] == [2.0, 30.0, 110.0]


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [-5.0, 5.0]])
def test_scaled_numbers_lie_between_0_and_1(values):
    assert (min(table.scaled(values)), max(table.scaled(values))) == (0.0, 1.0)


def test_inputs_are_pairs():
    assert all(len(pair) == 2 for pair in table.inputs())
