"""Gradio's own components in our colors: every value points at a variable of `assets/style.css`."""

import gradio as gr

_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

_COLORS = {
    "body_background_fill": "var(--pl-bg)",
    "body_text_color": "var(--pl-text)",
    "body_text_color_subdued": "var(--pl-muted)",
    "background_fill_primary": "var(--pl-surface)",
    "background_fill_secondary": "var(--pl-bg)",
    "border_color_primary": "var(--pl-line)",
    "border_color_accent": "var(--pl-accent)",
    "block_background_fill": "var(--pl-surface)",
    "block_border_color": "var(--pl-line)",
    "block_info_text_color": "var(--pl-muted)",
    "block_label_background_fill": "var(--pl-surface)",
    "block_label_text_color": "var(--pl-text)",
    "block_title_text_color": "var(--pl-text)",
    "panel_background_fill": "var(--pl-surface)",
    "color_accent_soft": "var(--pl-accent-soft)",
    "link_text_color": "var(--pl-accent-text)",
    "input_background_fill": "var(--pl-field)",
    "input_border_color": "var(--pl-line-strong)",
    "input_border_color_focus": "var(--pl-accent)",
    "input_placeholder_color": "var(--pl-muted)",
    "button_primary_background_fill": "var(--pl-accent)",
    "button_primary_background_fill_hover": "var(--pl-accent-strong)",
    "button_primary_text_color": "var(--pl-on-accent)",
    "button_secondary_background_fill": "var(--pl-surface)",
    "button_secondary_background_fill_hover": "var(--pl-hover)",
    "button_secondary_border_color": "var(--pl-line-strong)",
    "button_secondary_text_color": "var(--pl-text)",
    "checkbox_background_color": "var(--pl-field)",
    "checkbox_background_color_selected": "var(--pl-accent)",
    "checkbox_border_color": "var(--pl-line-strong)",
    "checkbox_label_background_fill": "var(--pl-surface)",
    "checkbox_label_text_color": "var(--pl-text)",
    "slider_color": "var(--pl-accent)",
    "table_even_background_fill": "var(--pl-surface)",
    "table_odd_background_fill": "var(--pl-surface)",
    "error_background_fill": "var(--pl-bad-soft)",
    "error_text_color": "var(--pl-bad)",
}


def theme() -> gr.themes.Base:
    """The theme; light and dark differ only in what the variables hold."""
    # Names without GoogleFont or LocalFont: nothing is fetched, the system's own fonts are used.
    base = gr.themes.Base(font=_FONT, font_mono=_MONO, radius_size="sm", spacing_size="sm", text_size="sm")
    dark = {f"{name}_dark": value for name, value in _COLORS.items()}
    known = vars(base)
    return base.set(**_COLORS, **{name: value for name, value in dark.items() if name in known})
