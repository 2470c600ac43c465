import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(0)
x, y = torch.rand(320, 28), torch.randint(0, 10, (320,))

class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.one, self.drop, self.two = nn.Linear(28, 64), nn.Dropout(0.3), nn.Linear(64, 10)

    def forward(self, inputs):
        return self.two(self.drop(torch.relu(self.one(inputs))))

net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = optim.Adam(net.parameters())
for epoch in range(3):
    for i in range(0, 320, 32):
        optimizer.zero_grad()
        loss = criterion(net(x[i:i + 32]), y[i:i + 32])
        loss.backward()
        optimizer.step()
