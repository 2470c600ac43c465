import os
import tempfile

colours = {"red", "green", "blue", "yellow", "pink"}
for colour in colours:
    print("colour", colour)
print("set:", {"one", "two", "three", "four"})
print("hash of a word:", hash("word") % 1000)
counts = {}
for letter in "the quick brown fox":
    counts[letter] = counts.get(letter, 0) + 1
print("most common:", max(counts, key=counts.get))
folder = tempfile.mkdtemp()
for at in range(5):
    open(os.path.join(folder, "file%d.txt" % at), "w").close()
print("files:", os.listdir(folder))
