// What this person answered in a task since the tab was opened, newest last: the way back for undo, also after a reload.

const REMEMBERED = 50;

export class History {
  // `sending`: the answers that are not confirmed yet.
  constructor(task, sending) {
    this.place = `pl-labels-${task}`;
    this.entries = [...this.read(), ...sending.map((answer) => entryOf(answer))];
  }

  get last() {
    return this.entries[this.entries.length - 1] || null;
  }

  add(answer) {
    this.entries.push(entryOf(answer));
  }

  // The server has stored the answer as this label.
  confirm(answer, label) {
    const entry = this.entries.find((one) => one.client_id === answer.client_id);
    if (entry) entry.label = label;
    this.save();
  }

  remove(clientId) {
    this.entries = this.entries.filter((one) => one.client_id !== clientId);
    this.save();
  }

  read() {
    try {
      return JSON.parse(sessionStorage.getItem(this.place) || "[]");
    } catch {
      return [];
    }
  }

  save() {
    this.entries = this.entries.slice(-REMEMBERED);
    try {
      sessionStorage.setItem(this.place, JSON.stringify(this.entries.filter((entry) => entry.label !== null)));
    } catch {
      // Storage is off: undo reaches back to the last reload.
    }
  }
}

const entryOf = ({ client_id, value, aspects, rationale, edit }) => ({ client_id, label: null, value, aspects, rationale, edit });
