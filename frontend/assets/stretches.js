// Rows of a list of positions that is told as stretches [[first, last], …]: which position a row has, and the other way.

export class Stretches {
  constructor(stretches) {
    this.list = [];
    this.size = 0;
    for (const [first, last] of stretches) {
      this.list.push({ first, last, row: this.size });
      this.size += last - first + 1;
    }
  }

  // The position of row 0, 1, …
  position(row) {
    const found = this.list[this.at((one) => one.row <= row)];
    return found.first + row - found.row;
  }

  // The row of a position, or of the next one there is.
  row(position) {
    const place = this.at((one) => one.first <= position);
    if (place < 0) return 0;
    const found = this.list[place];
    return Math.min(found.row + position - found.first, found.row + found.last - found.first + (position > found.last ? 1 : 0), this.size - 1);
  }

  // The last stretch for which it holds; it holds for those before.
  at(holds) {
    let [low, high] = [0, this.list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(this.list[middle])) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
