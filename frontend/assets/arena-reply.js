// The next turn of a conversation in the arena, said to all contestants at once; each has its own answers in mind.

import { LONGEST, speaks } from "./arena-composer.js";
import { button, fill, h } from "./dom.js";
import { bind } from "./keys.js";

const MOST_TURNS = 10;

export class Reply {
  constructor(onsend) {
    this.onsend = onsend;
    this.text = h("textarea.pl-input.pl-composer-text", { rows: 1, maxlength: LONGEST, placeholder: "Go on with all of them…", "aria-label": "Next turn" });
    this.button = button("", () => this.send(), { kind: "" });
    this.grow = speaks(this.text, () => this.send());
    this.element = h("section.pl-arena-reply", { "aria-label": "Next turn", hidden: true }, this.text, this.button);
    this.unbind = null;
  }

  // Offered where a turn has been answered blind; a turn that was not answered is said again by its own buttons.
  offer(battle) {
    const open = battle.state === "succeeded" && !battle.names && battle.turn < MOST_TURNS && !battle.answers.includes(null);
    this.element.hidden = !open;
    if (!open) return;
    fill(this.button, battle.contestants === 2 ? "Send to both" : "Send to all", h("kbd", "C"));
    this.unbind?.();
    this.unbind = bind("arena-go-on", "c", "Go on with the conversation", () => this.text.focus(), "Arena");
  }

  hide() {
    this.element.hidden = true;
    this.unbind?.();
    this.unbind = null;
  }

  take(text) {
    this.text.value = text;
    this.grow();
    this.text.focus();
  }

  send() {
    const text = this.text.value.trim();
    if (!text || this.sending) return this.text.focus();
    this.sending = true;
    return this.onsend(text);
  }

  sent() {
    this.sending = false;
    this.text.value = "";
    this.grow();
    this.text.blur(); // so that the next key votes
  }

  failed() {
    this.sending = false;
  }
}
