"""All notebook rules, by what they apply to. Each takes a :class:`Notebook` and returns a list of complaints."""

from __future__ import annotations

from tests.notebooks import chapter_rules, code_rules, file_rules, text_rules

EVERYWHERE = (
    file_rules.is_valid,
    file_rules.is_stripped,
    file_rules.metadata_is_minimal,
    file_rules.is_written_the_one_way,
    file_rules.survives_jupytext,
    code_rules.setup_cell_is_the_one,
    code_rules.paths_are_relative,
    code_rules.nothing_is_skipped,
    code_rules.nothing_is_silenced,
    code_rules.cells_are_small,
    code_rules.figures_go_through_show,
    text_rules.markdown_is_portable,
    text_rules.markdown_is_not_swallowed,
    text_rules.images_are_described,
    text_rules.links_lead_somewhere,
    text_rules.table_columns_are_named,
    text_rules.headings_step_down,
    text_rules.equations_are_numbered_in_order,
    text_rules.tagged_equations_have_no_row_ends,
    text_rules.prose_is_calm,
    text_rules.no_number_is_typed,
)
IN_CHAPTERS = (
    chapter_rules.chapter_has_its_parts,
    chapter_rules.sources_are_listed,
    chapter_rules.closing_cell_counts_the_checks,
)
